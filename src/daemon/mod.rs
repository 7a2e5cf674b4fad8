//! Lets clients in: listens, authenticates, speaks the protocol. Follows in the next commit.
