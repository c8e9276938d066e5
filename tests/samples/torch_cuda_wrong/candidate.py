import torch
from torch.utils.cpp_extension import load_inline

# The C API of Python alone: PyTorch's own headers take a minute to compile.
source = """#include <Python.h>
#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)

static PyObject* shifted_relu(PyObject*, PyObject* arguments) {
    unsigned long long from, to;
    long long count;
    if (!PyArg_ParseTuple(arguments, "KKL", &from, &to, &count)) return nullptr;
    const float* x = reinterpret_cast<const float*>(from);
    float* y = reinterpret_cast<float*>(to);
    for (long long i = 0; i < count; ++i) y[i] = x[i] > 0 ? x[i] : 0;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"shifted_relu", shifted_relu, METH_VARARGS, ""}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "extension", nullptr, -1, methods};
PyMODINIT_FUNC NAMED(PyInit_, TORCH_EXTENSION_NAME)() { return PyModule_Create(&definition); }
"""

extension = load_inline(name="shifted_relu", cpp_sources=source, no_implicit_headers=True)

class ModelNew(torch.nn.Module):
    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        extension.shifted_relu(x.data_ptr(), y.data_ptr(), x.numel())
        return y
