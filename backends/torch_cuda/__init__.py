"""Kernel type `torch_cuda`: Python modules that build extensions with `torch.utils.cpp_extension`.

::

    COMPILER  executes the module; every load_inline and load is answered by a build (`capture`, `builder`)
                  └──► artifact: the module, each extension's library, and which call it answers
    RUNNER    executes the module again; the same calls are answered with the libraries (`prebuilt`)

A call is known by its content (`extension_call`), so order and conditions in the module do not matter. What was not
captured, because the module needs its device for it, is built in the runner by the same builder.
"""
