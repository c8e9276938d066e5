#!/bin/sh
# Judge many candidates against one reference; verdicts appear as they come.
#   KBD_SPOOL=/mnt/spool ./parallel.sh reference.py candidates/*.py
# Ends with 0 if all passed, else with how many did not. parallel.log tells of each candidate how it went.
set -eu
reference=$1
shift
exec parallel --jobs 8 --joblog parallel.log kbd submit --wait --ref "$reference" ::: "$@"
