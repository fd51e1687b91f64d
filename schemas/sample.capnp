@0xe3f8a1c05b7d2694;

struct Sample @0xb1c96f0d3a5e8247 {
  # The message of the producer-consumer demo: numbered, timed and with a digest, so that a receiver can prove that nothing
  # was lost, doubled or altered.

  sequence @0 :UInt64;
    # The number of this message among those of its producer, from 0.
  producer @1 :UInt32;
    # Which producer sent it.
  sentAt @2 :UInt64;
    # When it was sent, in ticks of the sender's clock.
  digest @3 :UInt64;
    # A digest of the payload, by the program's own function.
  payload @4 :Data;
    # What is carried.
}
