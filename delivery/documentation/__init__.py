"""The documentation: references generated from the code, and the static site of all pages.

`python -m delivery.documentation` writes the references, `python -m delivery.documentation site` builds the site.
"""
