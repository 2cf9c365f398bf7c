"""``python -m app.webhooks``: sends, set up by its environment alone; see `app.cli`."""

if __name__ == "__main__":
    from app.webhooks.process import main

    main()
