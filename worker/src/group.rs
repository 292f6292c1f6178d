//! Services that roll out together: when one fails, all go back.

use manifest_schema::Reason;
use manifest_schema::names::ServiceName;
use tokio::sync::watch;

/// What becomes of services that roll out together. One alone is a group, too.
#[derive(Debug)]
pub(crate) struct Group(watch::Sender<State>);

#[derive(Debug)]
struct State {
    /// How many haven't arrived.
    under_way: usize,
    /// Why they go back.
    fell: Option<Reason>,
}

impl Group {
    /// Of so many services.
    pub(crate) fn of(members: usize) -> Self {
        Self(watch::Sender::new(State { under_way: members, fell: None }))
    }

    /// One of them runs the build. Returns when all do, or with why another one doesn't.
    pub(crate) async fn all_arrived(&self) -> Result<(), Reason> {
        self.0.send_modify(|state| state.under_way = state.under_way.saturating_sub(1));
        self.wait_for(|state| match &state.fell {
            Some(why) => Some(Err(why.clone())),
            None => (state.under_way == 0).then_some(Ok(())),
        })
        .await
    }

    /// One of them failed, for this reason. The first that does says why all go back.
    pub(crate) fn fall(&self, why: &Reason) {
        self.0.send_modify(|state| {
            state.fell.get_or_insert_with(|| why.clone());
        });
    }

    /// Why they go back, if they do.
    pub(crate) fn has_fallen(&self) -> Option<Reason> {
        self.0.borrow().fell.clone()
    }

    /// Returns when one of them failed.
    pub(crate) async fn fell(&self) -> Reason {
        self.wait_for(|state| state.fell.clone()).await
    }

    async fn wait_for<T>(&self, found: impl Fn(&State) -> Option<T>) -> T {
        let mut state = self.0.subscribe();
        loop {
            if let Some(found) = found(&state.borrow_and_update()) {
                return found;
            }
            // It can't be closed: the sender is here.
            let _ = state.changed().await;
        }
    }
}

/// Why a service goes back that did nothing wrong.
pub(crate) fn goes_back_with_it(service: &ServiceName, why: &Reason) -> Reason {
    let message = format!("service {service} goes back with its group: {}", why.message);
    Reason { code: why.code.clone(), message }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use manifest_schema::Code;
    use tokio::time::timeout;

    use super::*;

    fn because(message: &str) -> Reason {
        Reason::new(Code::ServiceFailed, message)
    }

    #[tokio::test(start_paused = true)]
    async fn all_arrive_or_all_go_back_for_the_first_reason() {
        let group = Group::of(3);
        let (one, two, three) = tokio::join!(group.all_arrived(), group.all_arrived(), group.all_arrived());
        assert_eq!([one, two, three], [Ok(()), Ok(()), Ok(())]);

        let group = Group::of(3);
        assert_eq!(group.has_fallen(), None);
        let fails = async {
            group.fall(&because("a"));
            group.fall(&because("b"));
        };
        let (arrived, _, fell) = tokio::join!(group.all_arrived(), fails, group.fell());
        assert_eq!((arrived, fell, group.has_fallen()), (Err(because("a")), because("a"), Some(because("a"))));

        let group = Group::of(2);
        timeout(Duration::from_secs(9), group.all_arrived()).await.expect_err("the other one is under way");
    }
}
