//! What a crash leaves, and what leaves before it.

use super::*;

/// testOnLoadedSchedulesClassicGroupMemberHeartbeats, testReplayGroupMetadataRecords
#[test]
fn a_stable_group_goes_on_after_a_crash_as_if_nothing_had_been() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![supporting(&["range", "sticky"], request("")), fixed("i", "")]);
    let shown = bench.group.describe();
    bench.now_ms += 1_000_000;
    let mut bench = bench.crashed();
    assert_eq!(bench.group.describe(), shown);
    bench.sleep(SESSION_MS as u64 - 1);
    assert_eq!(bench.beat(claim(&seats[0])), Ok(()), "a whole session from the start");
    assert_eq!(bench.commit(&fixed_claim("i", &seats[1])), Ok(()));
    let again = bench.sync(claim(&seats[0]), &[]);
    assert_eq!(bench.synced(again), Ok("a"));
    let rejoin = bench.join(fixed("i", &seats[1].id));
    assert_eq!(bench.joined(rejoin).generation, 1, "unchanged, and seen to be");
    let restart = bench.join(fixed("i", ""));
    assert_eq!(bench.joined(restart).generation, 1, "a static member keeps its place");
    assert!(bench.group.may_delete_offsets().unwrap().contains("orders"));
    assert_eq!(bench.state(), State::Stable);
    bench.sleep(SESSION_MS as u64);
    assert_eq!(bench.state(), State::Empty);
    assert_eq!(bench.crashed().group.generation(), 2);
}

/// No generation that anybody was told is used again: it is durable before it is told.
#[test]
fn a_crash_between_join_and_sync_goes_on_in_the_new_generation() {
    let mut bench = Bench::new();
    let seats = bench.form(vec![request(""), request("")]);
    let mut bench = bench.crashed();
    assert_eq!((bench.state(), bench.group.generation()), (State::CompletingRebalance, 1));
    assert_eq!(bench.beat(claim(&seats[1])), Ok(()));
    let follower = bench.sync(claim(&seats[1]), &[]);
    let lost = bench.join(request(&seats[0].id));
    assert_eq!(bench.joined(lost).members.len(), 2, "the leader may not have got its answer");
    bench.sync(claim(&seats[0]), &[(&seats[1], "b")]);
    assert_eq!(bench.synced(follower), Ok("b"));

    // And if nobody comes back, it ends.
    let mut bench = Bench::new();
    bench.form(vec![request(""), request("")]);
    let mut bench = bench.crashed();
    bench.sleep(2 * REBALANCE_MS as u64);
    assert_eq!((bench.state(), bench.group.generation()), (State::Empty, 2));
}

#[test]
fn nothing_leaves_before_it_is_durable() {
    let mut bench = Bench::new();
    let mut waiting = vec![bench.join(request("")), bench.join(request(""))];
    bench.quick_disk = false;
    bench.sleep(REBALANCE_MS as u64);
    assert_eq!(bench.state(), State::CompletingRebalance);
    waiting.push(bench.join(request("c-1")));
    let beat = bench.ticket();
    bench.step(Input::Heartbeat(beat, MemberClaim { generation: 1, ..nobody() }));
    waiting.push(beat);
    assert!(waiting.iter().all(|ticket| bench.waits(*ticket)));
    assert_eq!(bench.snapshots.last().unwrap().generation, 1);
    let seq = bench.group.last_seq;
    bench.step(Input::Persisted { seq: seq - 1 });
    assert!(waiting.iter().all(|ticket| bench.waits(*ticket)), "an earlier one");
    bench.step(Input::Persisted { seq });
    assert!(!waiting.iter().any(|ticket| bench.waits(*ticket)));
    assert_eq!(bench.answers[&beat], Answer::Heartbeat(Err(Refusal::UnknownMember)));

    let seats = [bench.seat(waiting[0]), bench.seat(waiting[1])];
    let follower = bench.sync(claim(&seats[1]), &[]);
    let leader = bench.sync(claim(&seats[0]), &[(&seats[1], "b")]);
    assert!(bench.waits(follower) && bench.waits(leader));
    // A crash now: nobody was told, and the leader may say it anew.
    let mut other = Bench::of(
        Group::restore(
            bench.group.settings.clone(),
            bench.snapshots[bench.snapshots.len() - 2].clone(),
            bench.now_ms,
            &mut Vec::new(),
        )
        .unwrap(),
    );
    let anew = other.sync(claim(&seats[0]), &[(&seats[0], "x")]);
    assert_eq!(other.synced(anew), Ok("x"));
    bench.sync_disk();
    assert_eq!(bench.synced(follower), Ok("b"));
}

#[test]
fn a_static_restart_is_told_when_it_is_durable_and_fences_at_once() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![fixed("i", ""), fixed("j", "")]);
    bench.quick_disk = false;
    let restart = bench.join(fixed("j", ""));
    assert!(bench.waits(restart));
    assert_eq!(bench.commit(&fixed_claim("j", &seats[1])), Err(Refusal::FencedInstance));
    // A rebalance that begins meanwhile does not change what it is told.
    bench.join(request(""));
    assert_eq!(bench.state(), State::PreparingRebalance);
    bench.sync_disk();
    assert_eq!(bench.joined(restart).generation, 1);
    let seat = bench.seat(restart);
    assert_eq!(bench.crashed().beat(fixed_claim("j", &seat)), Ok(()));
}

#[test]
fn too_much_that_waits_is_turned_away() {
    let mut bench = Bench::with(Settings { max_held_answers: 3, ..Settings::default() });
    let seats = bench.stable(vec![request("")]);
    bench.quick_disk = false;
    bench.leave(vec![]);
    bench.join(fixed("i", ""));
    bench.join(request(&seats[0].id));
    assert_eq!(bench.state(), State::CompletingRebalance);
    let beats: Vec<Ticket> = (0..3)
        .map(|_| {
            let ticket = bench.ticket();
            bench.step(Input::Heartbeat(ticket, claim(&seats[0])));
            ticket
        })
        .collect();
    assert!(bench.waits(beats[0]));
    assert_eq!(bench.answers[&beats[2]], Answer::Heartbeat(Err(Refusal::Busy)));
    bench.sync_disk();
    assert!(!bench.waits(beats[0]));
    assert_eq!(bench.beat(MemberClaim { generation: 2, ..claim(&seats[0]) }), Ok(()));
}

#[test]
fn a_snapshot_is_read_as_it_was_written() {
    let mut bench = Bench::new();
    bench.stable(vec![supporting(&["range", "sticky"], request("")), fixed("i", "")]);
    for snapshot in &bench.snapshots {
        let bytes = postcard::to_stdvec(snapshot).unwrap();
        assert_eq!(&postcard::from_bytes::<Snapshot>(&bytes).unwrap(), snapshot);
        let group = Group::restore(Arc::default(), snapshot.clone(), 5, &mut Vec::new()).unwrap();
        group.check();
        assert_eq!(&group.snapshot(), snapshot);
    }
}

/// What was written before a snapshot said since when the group is empty is read as ever, and so is what says so.
#[test]
fn an_empty_group_says_since_when_if_it_knows() {
    let tags = [Phase::Empty, Phase::CompletingRebalance, Phase::Stable, Phase::EmptySince(0)];
    for (tag, phase) in (0..).zip(tags) {
        assert_eq!(postcard::to_stdvec(&phase).unwrap()[0], tag, "{phase:?}");
    }
    let mut bench = Bench::new();
    let seats = bench.stable(vec![request("")]);
    let mut live = bench.snapshots.last().unwrap().clone();
    live.stamp(1_234);
    assert_eq!((&live, live.empty_since_ms()), (bench.snapshots.last().unwrap(), None), "it has a member");
    bench.leave(vec![leaver(&seats[0].id, None)]);
    let mut empty = bench.snapshots.last().unwrap().clone();
    assert_eq!(empty.empty_since_ms(), None);
    empty.stamp(1_234);
    let read: Snapshot = postcard::from_bytes(&postcard::to_stdvec(&empty).unwrap()).unwrap();
    assert_eq!(read.empty_since_ms(), Some(1_234));
    let group = Group::restore(Arc::default(), read, 5, &mut Vec::new()).unwrap();
    assert_eq!((group.state(), group.generation()), (State::Empty, 2));
}

#[test]
fn a_snapshot_that_contradicts_itself_is_an_error() {
    let mut bench = Bench::new();
    bench.stable(vec![request(""), fixed("i", "")]);
    let good = bench.snapshots.last().unwrap();
    let spoilt: [fn(&mut Snapshot); 12] = [
        |s| s.generation = -1,
        |s| s.phase = Phase::Empty,
        |s| s.phase = Phase::EmptySince(5),
        |s| s.members.clear(),
        |s| s.members[1].member_id = s.members[0].member_id.clone(),
        |s| s.members[0].instance_id = s.members[1].instance_id.clone(),
        |s| s.members[0].protocols = protocols(&["range", "range"]).into(),
        |s| s.members[0].protocols = protocols(&["sticky"]).into(),
        |s| s.leader = None,
        |s| s.leader = Some("stranger".into()),
        |s| s.protocol_name = None,
        |s| s.protocol_type = None,
    ];
    for (nth, spoil) in spoilt.into_iter().enumerate() {
        let mut snapshot = good.clone();
        spoil(&mut snapshot);
        let restored = Group::restore(Arc::default(), snapshot, 0, &mut Vec::new());
        assert!(restored.is_err(), "{nth}");
    }
}
