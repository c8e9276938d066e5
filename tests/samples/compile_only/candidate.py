raise RuntimeError("mode compile runs no torch module: it only has to be Python")
