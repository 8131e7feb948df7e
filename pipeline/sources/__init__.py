"""The sources: each module has a function from a source's settings to its list of `SourceObject`s.

`pipeline.builder.list_requested_objects` calls the function of the requested source, and `pipeline.work.worker` gets
the files of its objects. A new source is a module here, a name in `pipeline.settings.ObjectsSettings.source`, and a
line in that function.
"""
