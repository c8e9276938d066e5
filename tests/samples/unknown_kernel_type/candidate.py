kernel void f() {}
