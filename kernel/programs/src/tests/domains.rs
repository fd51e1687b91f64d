//! Domains that do what they must not, and many of them.

use feuerbird_capability::Trust;

use super::attack::ATTACKS;
use super::{Checked, Ground, ensure_ends};
use crate::child::Child;
use crate::gate;
use crate::role::Role;

pub(super) fn attacks(ground: &Ground<'_>) -> Checked {
    for number in 0..ATTACKS {
        ensure_ends(ground.run(Role::Attacker, number)?)?;
    }
    Ok(())
}

/// More than there are cores, so that they take turns.
pub(super) fn patterns(ground: &Ground<'_>) -> Checked {
    let mut children = [const { None }; 6];
    for (number, child) in (1..).zip(&mut children) {
        *child = Some(ground.run(Role::Patterns, number)?);
    }
    children.into_iter().flatten().try_for_each(ensure_ends)
}

/// A third of them never runs, a third runs while it is ended, a third ends by itself.
pub(super) fn many(ground: &Ground<'_>) -> Checked {
    for number in 0..1000 {
        let child = Child::new(ground.image, Trust::USER)?;
        match number % 3 {
            0 => child.destroy()?,
            1 => {
                child.start(ground.image, Role::Idle.argument(0))?;
                if number % 2 == 0 {
                    gate::give_way();
                }
                child.destroy()?;
            }
            _ => {
                child.start(ground.image, Role::Nothing.argument(0))?;
                ensure_ends(child)?;
            }
        }
    }
    Ok(())
}
