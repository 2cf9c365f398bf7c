"""The pages on which a browser reads what the API is: Swagger UI, served from this machine."""
