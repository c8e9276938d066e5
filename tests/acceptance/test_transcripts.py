"""What a daemon and those who talk to it print, in whole: golden/*.txt, less what differs from run to run."""

import re

QUICK = """
reference: {kernel_type: torch, source_code: "def f(x): return 2 * x"}
candidate: {kernel_type: torch, source_code: "def f(x): return x + x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [64], dtype: float32}}]}
evaluation: {num_correct_trials: 2, num_trials: 5}
"""
ENDLESS = QUICK.replace("return x + x", "import time; time.sleep(1000)")
CONVERSATION = (
    ("kbd rerun quick", 0),
    ("kbd rerun quick --seed 7", 0),
    ("kbd retry quick", 0),
    ("kbd retry quick nothing endless", 6),
    ("kbd cancel endless --reason enough", 0),
    ("kbd cancel endless quick nothing", 3),
    ("kbd pause --reason maintenance", 0),
    ("kbd pause", 0),
    ("kbd resume", 0),
    ("kbd resume", 0),
)


def neutral(text, user):
    """Without places, people, moments, numbers of processes and what differs from host to host."""
    text = text.replace("\x1b", "␛").replace(str(user.home), "/home/user")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME", text)
    text = re.sub(r"[\w.-]+@[\w.-]+", "somebody@host", text)
    text = re.sub(r"\(it is \w+\)", "(it is …)", text)
    text = re.sub(r"\d+ (running|queued)", r"N \1", text)
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


def neutral_log(lines, user):
    """And without what the host is like, nor how far its isolation reaches."""
    text = neutral("\n".join(lines) + "\n", user)
    text = re.sub(r"\b(devices?|missing|reached)=('[^']*'|\[.*?\]|\(.*?\)|\w+)", r"\1=…", text)
    return re.sub(r"\bpid=\d+", "pid=…", text)


def said_to(user, line, code):
    ended = user.types(*line.split(), code=code)
    complaints = "".join(f"2> {said}\n" for said in ended.stderr.splitlines())
    return f"$ {line}\n{ended.stdout}{complaints}exit {code}\n"


def test_talking_to_a_daemon_and_what_it_says(user, same_as_golden):
    user.kbd("init")
    user.writes("quick.yaml", QUICK)
    user.writes("endless.yaml", ENDLESS)
    with user.daemon() as daemon:
        user.kbd("submit", "--wait", "quick.yaml")
        user.kbd("submit", "endless.yaml")
        said = [said_to(user, line, code) for line, code in CONVERSATION]
        user.kbd("wait", "quick.r1", "quick.r2", "quick.r3", "quick.r4")
        said.append(said_to(user, "kbd drain", 0))
        assert daemon.wait(200) == 0
    same_as_golden(neutral("\n".join(said), user), "conversation.txt")
    logged = (user.home / "daemon-output").read_text().splitlines()
    ready = next(number for number, line in enumerate(logged) if "] ready" in line)
    same_as_golden(neutral_log([*logged[: ready + 1], "…", logged[-1]], user), "run.txt")
