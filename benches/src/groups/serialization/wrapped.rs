//! The formats of `feuerbird-formats`, as channels carry them.

use feuerbird_formats::{Named, messagepack::MessagePack, protobuf::Protobuf};
use feuerbird_serialization::{Encode, Layer, Message, Stable};
use serde::{Serialize, de::DeserializeOwned};
use zerocopy::IntoBytes;

use super::{Codec, data::Digest, protobuf::Proto};

/// MessagePack: our own walk, then rmp-serde.
pub(super) struct Rmp;

impl<T: Serialize + DeserializeOwned + Named + Digest + 'static> Codec<T> for Rmp {
    type View<'a> = MessagePack<T>;

    fn write(&mut self, value: &T, out: &mut [u64]) -> Option<usize> {
        MessagePack(value).encode(Layer::Full, out.as_mut_bytes()).ok()
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<MessagePack<T>> {
        MessagePack::<T>::decode(Stable::new(bytes).ok()?, Layer::Full).ok()
    }

    fn sum(value: &MessagePack<T>) -> Option<u64> {
        Some(value.digest())
    }
}

/// Protocol Buffers, by prost.
pub(super) struct Prost;

impl<T: Proto> Codec<T> for Prost {
    type View<'a> = Protobuf<T::Wire>;

    fn write(&mut self, value: &T, out: &mut [u64]) -> Option<usize> {
        Protobuf(&value.to_wire()).encode(Layer::Full, out.as_mut_bytes()).ok()
    }

    fn open<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Protobuf<T::Wire>> {
        Protobuf::<T::Wire>::decode(Stable::new(bytes).ok()?, Layer::Full).ok()
    }

    fn sum(wire: &Protobuf<T::Wire>) -> Option<u64> {
        Some(T::sum(wire))
    }
}
