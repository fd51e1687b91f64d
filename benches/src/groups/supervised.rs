//! The whole way: endpoints that a supervisor bound, with its validity words, beside the same lanes without anybody over them.

use std::sync::Arc;

use feuerbird::channel::{RecvError, SendError, Terms};
use feuerbird::libos::{Authority, Receiver, Sender};
use feuerbird::prelude::Layer;
use feuerbird_capability::{Rights, Trust};
use feuerbird_hosted::SocketGate;
use feuerbird_serialization::Plain;

use crate::case::{Case, Ours, Subject};
use crate::groups::channels::between_threads;
use crate::link::{Incoming, LinkError, Outgoing, Spinning};
use crate::links::lane::pair_within;
use crate::measure::{Pattern, Plan};
use crate::row::{Target, Unit};

/// The case.
pub fn case() -> Case {
    let plan = Plan::new(Pattern::RoundTrip, 8);
    let ours = |name: &str, trust: Trust| Ours {
        subject: Subject::new(name, move |machine, budget| {
            let (first, second) = bound(trust)?;
            between_threads(machine, first, second, plan, budget)
        }),
        target: Target::None,
    };
    Case {
        name: "round trip of a number, two threads, bound by a supervisor".to_owned(),
        unit: Unit::Cycles,
        ours: vec![
            ours("trust 0xE (Raw)", Trust::BASE),
            ours("trust 0x8 (Lite)", Trust::LIBOS),
            ours("trust 0x0 (Full)", Trust::USER),
        ],
        limit: Subject::new("the lane alone, copied out", move |machine, budget| {
            let (first, second) = pair_within(plan.bytes)?;
            between_threads(machine, first.copied(), second.copied(), plan, budget)
        }),
        rivals: vec![],
    }
}

type End = Spinning<Out, In>;

/// Two links over two endpoints of one supervisor.
fn bound(trust: Trust) -> Result<(End, End), LinkError> {
    let refused = |_| LinkError::Disconnected;
    let domain = feuerbird::embedded().map_err(|_| LinkError::Disconnected)?;
    let one_way = || {
        let bytes = Layer::ALL.map(encoded).into_iter().max().unwrap_or(64);
        let terms = Terms::new(bytes, 64).map_err(|_| LinkError::Altered)?;
        let endpoint = domain.endpoint(terms).map_err(refused)?;
        let sending = endpoint.derive(Authority::new(Rights::SEND, trust)).map_err(refused)?;
        let sender = domain.sender::<Plain<u64>>(&sending).map_err(refused)?;
        let receiver = domain.receiver::<Plain<u64>>(&endpoint).map_err(refused)?;
        let kept: Kept = Arc::new((domain.clone(), endpoint, sending));
        Ok::<_, LinkError>((Out(sender, Arc::clone(&kept)), In(receiver, kept)))
    };
    let ((to_second, from_first), (to_first, from_second)) = (one_way()?, one_way()?);
    Ok((
        Spinning { outgoing: to_second, incoming: from_second },
        Spinning { outgoing: to_first, incoming: from_first },
    ))
}

fn encoded(layer: Layer) -> u32 {
    use feuerbird_serialization::Encode;
    Encode::<Plain<u64>>::encoded_bound(&0_u64, layer) as u32
}

/// What keeps the endpoints alive.
type Kept = Arc<(
    feuerbird::prelude::Domain,
    feuerbird::libos::Handle<SocketGate>,
    feuerbird::libos::Handle<SocketGate>,
)>;

struct Out(Sender<Plain<u64>, SocketGate>, #[expect(dead_code, reason = "held")] Kept);
struct In(Receiver<Plain<u64>, SocketGate>, #[expect(dead_code, reason = "held")] Kept);

impl Outgoing for Out {
    #[inline]
    fn try_send(&mut self, stamp: u64) -> Result<bool, LinkError> {
        match self.0.try_send(&stamp) {
            Ok(()) => Ok(true),
            Err(SendError::Full) => Ok(false),
            Err(_) => Err(LinkError::Disconnected),
        }
    }
}

impl Incoming for In {
    #[inline]
    fn try_receive(&mut self) -> Result<Option<u64>, LinkError> {
        match self.0.try_recv(|value| value) {
            Ok(value) => Ok(Some(value)),
            Err(RecvError::Empty) => Ok(None),
            Err(_) => Err(LinkError::Disconnected),
        }
    }
}
