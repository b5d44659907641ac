"""One response: bytes, then a document, then records, then rows and rejections."""
