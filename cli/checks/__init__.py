"""What `doctor` asks and `status` reads: small questions to the machine, AWS, Twilio and the model, each on its own."""
