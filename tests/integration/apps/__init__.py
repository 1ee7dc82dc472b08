"""Small applications that the integration tests start a real `huey_consumer` on."""
