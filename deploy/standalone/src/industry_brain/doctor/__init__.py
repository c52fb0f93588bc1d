"""What a machine or a running platform lacks, and how to mend each."""
