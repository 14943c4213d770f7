"""How the built-in models were trained and measured.

Nothing that ships imports these modules: the wheel and the packaged program leave them out. They
run from a checkout with the extra ``studies``:

    pip install -c constraints.txt -e .[studies]
"""
