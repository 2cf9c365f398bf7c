"""``python -m app.worker``: one supervisor, set up by its environment alone; see `app.cli`."""

from app.worker.pinning import pin_blas

pin_blas()  # before NumPy is imported

if __name__ == "__main__":
    from app.worker.process import main

    main()
