//! The connections that are open, and which of them goes when there are too many.
//!
//! Every connection is accepted. Where there is no room, one that asks nothing makes room; where
//! all are at work, the new one is answered and closed, see [`Standing`].

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use super::activity::Activity;

/// The connections that are open.
pub(crate) struct Connections {
    most: usize,
    most_of_address: Option<usize>,
    table: Mutex<Table>,
}

struct Table {
    open: HashMap<u64, Open>,
    of_address: HashMap<IpAddr, usize>,
    next_id: u64,
    spare: usize,
    /// Until then it is known that no connection is idle.
    busy_until: Option<Instant>,
}

struct Open {
    address: IpAddr,
    standing: Standing,
    activity: Arc<Activity>,
}

/// What a connection gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Whatever it asks for.
    Regular,
    /// One answer, since there are too many: that of a probe, or that there are too many.
    Spare,
}

/// A connection's place in the table, until it is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    pub(super) standing: Standing,
}

/// How many connections beyond the limit are answered at once, so that probes and refusals get
/// through; they are short.
const SPARE: usize = 64;
/// Room is made for so many at once, so that a flood does not look through the table each time.
const ROOM: usize = 64;
/// How long a table without idle connections is not looked through again.
const PAUSE: Duration = Duration::from_millis(50);
/// Descriptors for all that is not a connection: stores, files, connections of plugins.
const DESCRIPTORS: u64 = 256;

// === impl Connections ===

impl Connections {
    pub(crate) fn new(most: usize, most_of_address: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            most: affordable(most),
            most_of_address,
            table: Mutex::new(Table {
                open: HashMap::new(),
                of_address: HashMap::new(),
                next_id: 0,
                spare: 0,
                busy_until: None,
            }),
        })
    }

    /// Takes a connection in; `None` where not even a refusal can be sent.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, activity: &Arc<Activity>) -> Option<Place> {
        let address = network_of(peer);
        let mut table = self.table();
        let is_one_too_many = match self.most_of_address {
            Some(most) if table.count_of(address) >= most => {
                !table.make_room(1, |open| open.address == address)
            }
            _ => false,
        } || table.open.len() >= self.most
            && !table.make_room_for_all(ROOM.min(self.most.div_ceil(8)));
        let standing = if is_one_too_many {
            Standing::Spare
        } else {
            Standing::Regular
        };
        if is_one_too_many && table.spare >= SPARE {
            return None;
        }
        let id = table.insert(Open {
            address,
            standing,
            activity: Arc::clone(activity),
        });
        Some(Place {
            connections: Arc::clone(self),
            id,
            standing,
        })
    }

    /// Closes connections that ask nothing, since the system has no room for more.
    pub(super) fn make_room(&self) {
        self.table().make_room_for_all(ROOM);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Table ===

impl Table {
    fn insert(&mut self, open: Open) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        *self.of_address.entry(open.address).or_default() += 1;
        self.spare += usize::from(open.standing == Standing::Spare);
        self.open.insert(id, open);
        id
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.spare -= usize::from(open.standing == Standing::Spare);
        if let Some(count) = self.of_address.get_mut(&open.address) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&open.address);
            }
        }
        Some(open)
    }

    fn count_of(&self, address: IpAddr) -> usize {
        self.of_address.get(&address).copied().unwrap_or_default()
    }

    fn make_room_for_all(&mut self, most: usize) -> bool {
        let now = Instant::now();
        if self.busy_until.is_some_and(|until| now < until) {
            return false;
        }
        let made = self.make_room(most, |_| true);
        self.busy_until = (!made).then(|| now + PAUSE);
        made
    }

    /// Closes the idle connections that are least worth keeping: those that never asked, then
    /// those that have been idle for longest. Whether there were any.
    fn make_room(&mut self, most: usize, is_meant: impl Fn(&Open) -> bool) -> bool {
        let mut idle: Vec<_> = self
            .open
            .iter()
            .filter(|(_, open)| is_meant(open) && open.activity.is_idle())
            .map(|(&id, open)| (open.activity.has_asked(), open.activity.idle_since(), id))
            .collect();
        if most < idle.len() {
            idle.select_nth_unstable(most);
            idle.truncate(most);
        }
        for &(_, _, id) in &idle {
            // It no longer counts, although its task has yet to see that it ends.
            if let Some(open) = self.remove(id) {
                open.activity.evict();
            }
        }
        !idle.is_empty()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
    }
}

/// Who counts as one: an IPv4 address, or the network that a host with IPv6 chooses its own from.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

/// As many connections as this process may have descriptors for, at most as many as are wanted.
fn affordable(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let Some(descriptors) = current else {
        return wanted;
    };
    let most = descriptors.saturating_sub(DESCRIPTORS).max(descriptors / 2);
    let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
    if most < wanted {
        tracing::warn!(
            max_connections = wanted,
            open_files = descriptors,
            "the limit of open files allows {most} connections; raise it (ulimit -n, LimitNOFILE)"
        );
    }
    most.min(wanted)
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_evicted(activity: &Activity) -> bool {
        use futures_util::FutureExt as _;
        activity.evicted().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_asked_makes_room_first_then_who_idles_longest() {
        let connections = Connections::new(3, None);
        let activities: Vec<_> = (0..5).map(|_| Activity::new()).collect();
        let (mut places, mut requests) = (Vec::new(), Vec::new());
        for activity in &activities[..3] {
            places.push(connections.admit(address(1), activity).unwrap());
        }
        for index in [1, 0] {
            let request = activities[index].begin(Version::HTTP_11);
            tokio::time::advance(Duration::from_secs(1)).await;
            drop(request);
        }
        for (newcomer, goes) in [(3, 2), (4, 1)] {
            let place = connections.admit(address(2), &activities[newcomer]);
            let place = place.unwrap();
            assert_eq!(place.standing, Standing::Regular);
            assert!(is_evicted(&activities[goes]), "{goes}");
            requests.push(activities[newcomer].begin(Version::HTTP_11));
            places.push(place);
        }
        assert!(!is_evicted(&activities[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_at_work_a_few_are_still_answered() {
        let connections = Connections::new(1, None);
        let (busy, late) = (Activity::new(), Activity::new());
        let _place = connections.admit(address(1), &busy).unwrap();
        let request = busy.begin(Version::HTTP_11);
        let spare: Vec<_> = (0..SPARE)
            .map(|_| connections.admit(address(1), &late).unwrap())
            .collect();
        assert!(spare.iter().all(|it| it.standing == Standing::Spare));
        assert!(connections.admit(address(1), &late).is_none());
        drop((request, spare));
        tokio::time::advance(PAUSE).await;
        let place = connections.admit(address(1), &late).unwrap();
        assert_eq!(place.standing, Standing::Regular);
    }

    #[tokio::test]
    async fn an_address_has_a_limit_of_its_own() {
        let connections = Connections::new(100, Some(1));
        let busy = Activity::new();
        let _place = connections.admit(address(1), &busy).unwrap();
        let _request = busy.begin(Version::HTTP_11);
        let standing_of = |last| {
            let place = connections.admit(address(last), &Activity::new());
            place.unwrap().standing
        };
        assert_eq!(standing_of(1), Standing::Spare);
        assert_eq!(standing_of(2), Standing::Regular);
    }

    #[test]
    fn a_host_with_ipv6_counts_by_its_network() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
