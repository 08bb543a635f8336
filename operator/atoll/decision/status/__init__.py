"""What each object's status shall say: always the whole of it, derived anew, compared before it is written."""
