"""One file per form a job's document may have; `registry` knows them all."""
