"""Lists of objects: from folders of models or views, tables of addresses, and Objaverse."""
