"""`kbd report`: jobs, their timings and their history as one HTML file that needs nothing else.

```
database, outbox ──► reported_jobs ──► job_view, history, summary ──► page ──► FILE.html
                                       (words and coordinates)        (page.html, style.css, table.js)
```
Texts of users reach the file through the template alone, which writes every character that a browser would
obey as text; a policy in the page forbids all scripts and styles but kbd's own, and all requests.
"""
