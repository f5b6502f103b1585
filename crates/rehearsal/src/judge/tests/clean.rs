//! No false alarm: whatever happens in a world where the real law rules, the judge finds nothing. And it is no sleeping judge:
//! the same worlds, doctored at random, are found out.

use super::world::{WorldEvidence, WorldScript, any_story};
use super::*;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngAlgorithm};

/// Worlds that are judged in one run.
const WORLDS: u32 = 1_500;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: WORLDS,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        // The default, ChaCha, takes most of the run when it is not optimised.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

fn judge_world(seen: &WorldEvidence, sees_all: bool) -> JudgeFindings {
    let mut judge = Judge::new(&seen.observations, Duration::ZERO);
    seen.ledger.iter().for_each(|entry| judge.read(entry));
    judge.verdict(&Evidence {
        accounts: &seen.accounts,
        orders: Some(&seen.rows),
        tables: Some(&seen.tables),
        server_time: Some(seen.server_time),
        is_complete: sees_all,
        is_exclusive: true,
    })
}

fn broken(findings: &JudgeFindings) -> Vec<&'static str> {
    findings.broken().map(|finding| finding.name).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_world_where_all_goes_right_breaks_nothing(story in any_story()) {
        let seen = story.run();
        let findings = judge_world(&seen, true);
        prop_assert!(
            findings.broken().next().is_none(),
            "{:#?}\n{:#?}\n{:#?}",
            findings.broken().collect::<Vec<_>>(),
            seen.ledger,
            seen.accounts
        );
        prop_assert!(judge_world(&seen, false).broken().next().is_none());
    }

    #[test]
    fn an_event_that_is_lost_is_found(story in any_story(), pick in any::<prop::sample::Index>()) {
        let mut seen = story.run();
        let candidates: Vec<usize> = (0..seen.ledger.len())
            .filter(|index| is_confirmed(&seen.ledger[*index].event) && was_shown(&seen, *index))
            .collect();
        if candidates.is_empty() {
            return Ok(());
        }
        let lost = seen.ledger.remove(candidates[pick.index(candidates.len())]);
        let findings = judge_world(&seen, true);
        prop_assert!(broken(&findings).contains(&"recorded"), "{:?} was lost: {:?}", lost, broken(&findings));
    }
}

/// Whether a reply showed this order as confirmed.
fn was_shown(seen: &WorldEvidence, index: usize) -> bool {
    let Event::Confirmed { order: id, .. } = seen.ledger[index].event else { return false };
    let replies =
        seen.accounts.iter().flat_map(|account| &account.requests).flat_map(|request| &request.replies);
    replies.into_iter().any(|reply| {
        matches!(reply.body, ReplyBody::Order { order, status: OrderPhase::Confirmed, .. } if order == id)
    })
}

/// The worlds cover the promises: most of them have sales, refusals, lost replies, and repeated requests.
#[test]
fn the_worlds_are_full_of_life() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = [0; 6];
    for _ in 0..200 {
        let story: WorldScript = any_story().new_tree(&mut runner).expect("a story").current();
        let world = story.run();
        let request = || world.accounts.iter().flat_map(|account| &account.requests);
        let any_reply =
            |wanted: fn(&LoggedReply) -> bool| request().any(|request| request.replies.iter().any(wanted));
        seen[0] += usize::from(any_reply(|reply| {
            matches!(reply.body, ReplyBody::Order { status: OrderPhase::Confirmed, .. })
        }));
        seen[1] += usize::from(any_reply(|reply| reply.body == ReplyBody::Refused(Code::SoldOut)));
        seen[2] += usize::from(any_reply(|reply| reply.body == ReplyBody::Refused(Code::AllHeld)));
        seen[3] += usize::from(
            request().any(|request| request.unanswered > 0 && request.settling_reply().is_some()),
        );
        seen[4] += usize::from(world.accounts.iter().any(|account| !account.past_places.is_empty()));
        seen[5] += usize::from(any_reply(|reply| reply.body == ReplyBody::Refused(Code::PaymentDeclined)));
    }
    assert!(seen.iter().all(|worlds| *worlds >= 20), "{seen:?}");
}
