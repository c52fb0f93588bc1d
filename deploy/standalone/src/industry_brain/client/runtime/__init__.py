"""What every call of the client needs: requests, retries, errors, streams, paging, waiting. No operation by name."""
