"""The work of a worker: fetch, render, stage and pack one object."""
