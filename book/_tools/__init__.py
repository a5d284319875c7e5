"""How the book is executed, checked, published and printed. `book/` is on the path: a module is `_tools.build`, say.

notebooks   the book's files, in reading order
execute     notebooks run in parallel, and their normal form
build       `make book`: executed notebooks in place of the stored ones, then Jupyter Book with every warning an error
check/      the stored notebooks, and the built pages: their weight, their times
publish/    one Sphinx extension: what the book's pages have beyond Jupyter Book's
print/      the PDF
"""
