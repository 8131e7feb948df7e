"""The sources: each module has a function from a source's settings to its list of `SourceObject`s.

`pipeline.builder.list_requested_objects` calls the function of the requested source, and `pipeline.work.worker` gets
the files of its objects.
"""
