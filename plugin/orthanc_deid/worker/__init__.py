"""The worker process. A package, since children of multiprocessing load a main module that is not `__main__` again."""
