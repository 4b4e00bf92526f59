"""One module per server: where its queue, its capacity and its workers are found."""
