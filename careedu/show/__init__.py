"""The show floor: plots, widgets and reports."""
