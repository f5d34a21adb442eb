"""What Clarion is made of: independent processes that meet in Kafka topics and protobuf."""
