"""The work of one worker: fetch, render, stage and pack one object."""
