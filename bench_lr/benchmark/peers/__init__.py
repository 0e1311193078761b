"""Ways of training given runs, each a module with one public function, ``train``.

All start from the same weights, visit the examples in the same order and evaluate at the same
steps, so that tests can hold their losses against each other; how they compute is their own.
"""
