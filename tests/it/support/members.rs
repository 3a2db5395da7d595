//! Members of groups: what each of the four requests asks, at any version, and a member that lives through them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::client::Client;
use super::must::{Must, within};
use super::value::{At, Value, commit_of};
use super::world::World;
use super::{MEMBER_ID_REQUIRED, NONE, groups};

pub const JOIN_VERSIONS: std::ops::RangeInclusive<i16> = 0..=9;
pub const SYNC_VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;
pub const HEARTBEAT_VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;
pub const LEAVE_VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;

/// Nobody waits for more members to come, and sessions may be short.
pub const QUICK: &str = "groups.min_session_timeout_ms = 50\ngroups.initial_rebalance_delay_ms = 0\n";

/// Long enough for any test on a busy machine.
const SESSION_MS: i32 = 60_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Metadata of a consumer that subscribes to these topics, as Kafka's consumer protocol has it in version 0.
pub fn subscription(topics: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1_i32).to_be_bytes());
    bytes
}

/// What a JoinGroup asks; a new consumer of "orders" unless it says otherwise.
#[derive(Clone, Debug)]
pub struct JoinAsk {
    group: String,
    member: String,
    instance: Option<String>,
    session_ms: i32,
    rebalance_ms: i32,
    kind: String,
    protocols: Vec<(String, Vec<u8>)>,
}

pub fn join_of(group: impl Into<String>) -> JoinAsk {
    JoinAsk {
        group: group.into(),
        member: String::new(),
        instance: None,
        session_ms: SESSION_MS,
        rebalance_ms: SESSION_MS,
        kind: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), subscription(&["orders"]))],
    }
}

impl JoinAsk {
    pub fn member(self, member: &str) -> Self {
        Self { member: member.to_owned(), ..self }
    }

    pub fn instance(self, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..self }
    }

    pub fn session_ms(self, session_ms: i32) -> Self {
        Self { session_ms, ..self }
    }

    pub fn rebalance_ms(self, rebalance_ms: i32) -> Self {
        Self { rebalance_ms, ..self }
    }

    pub fn kind(self, kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..self }
    }

    /// These protocols and no others, the best liked first.
    pub fn protocols(self, protocols: &[(&str, &[u8])]) -> Self {
        let owned = |(name, metadata): &(&str, &[u8])| ((*name).to_owned(), metadata.to_vec());
        Self { protocols: protocols.iter().map(owned).collect(), ..self }
    }

    /// The request as this version has it; what the version cannot say is left out.
    pub fn request(&self, version: i16) -> JoinGroupRequest {
        let protocols = self.protocols.iter().map(|(name, metadata)| {
            JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(metadata.clone().into())
        });
        JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_session_timeout_ms(self.session_ms)
            .with_rebalance_timeout_ms(if version >= 1 { self.rebalance_ms } else { -1 })
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.as_deref().filter(|_| version >= 5).map(text))
            .with_protocol_type(text(&self.kind))
            .with_protocols(protocols.collect())
            .with_reason(Some(text("it asks")).filter(|_| version >= 8))
    }
}

/// Who says so in the three other requests.
#[derive(Clone, Debug)]
pub struct Claim {
    pub group: String,
    pub member: String,
    pub generation: i32,
    pub instance: Option<String>,
}

pub fn claim_of(group: &str, member: &str, generation: i32) -> Claim {
    Claim { group: group.to_owned(), member: member.to_owned(), generation, instance: None }
}

impl Claim {
    pub fn instance(self, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..self }
    }

    pub fn generation(self, generation: i32) -> Self {
        Self { generation, ..self }
    }

    pub fn member(self, member: &str) -> Self {
        Self { member: member.to_owned(), ..self }
    }

    fn instance_since(&self, version: i16, since: i16) -> Option<StrBytes> {
        self.instance.as_deref().filter(|_| version >= since).map(text)
    }

    pub fn heartbeat(&self, version: i16) -> HeartbeatRequest {
        HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance_since(version, 3))
    }

    pub fn leave(&self, version: i16) -> LeaveGroupRequest {
        let request = LeaveGroupRequest::default().with_group_id(GroupId(text(&self.group)));
        if version < 3 {
            return request.with_member_id(text(&self.member));
        }
        let member = MemberIdentity::default()
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance_since(version, 3))
            .with_reason(Some(text("it asks")).filter(|_| version >= 5));
        request.with_members(vec![member])
    }

    /// A sync with this assignment: empty but for the leader.
    pub fn sync(&self, version: i16, assignment: &[(&str, &[u8])]) -> SyncGroupRequest {
        let assignments = assignment.iter().map(|(member, part)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(member))
                .with_assignment(Bytes::copy_from_slice(part))
        });
        SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance_since(version, 3))
            .with_protocol_type(Some(text("consumer")).filter(|_| version >= 5))
            .with_protocol_name(Some(text("range")).filter(|_| version >= 5))
            .with_assignments(assignments.collect())
    }
}

/// Joins, coming back with the id that a new member is told to come back with.
#[track_caller]
pub fn join(client: &mut Client, version: i16, ask: &JoinAsk) -> JoinGroupResponse {
    let answer = client.call(version, &ask.request(version));
    if answer.error_code != MEMBER_ID_REQUIRED {
        return answer;
    }
    assert!(version >= 4 && ask.instance.is_none(), "version {version} needs no second turn: {ask:?}");
    client.call(version, &ask.clone().member(&answer.member_id).request(version))
}

/// The code of a heartbeat.
#[track_caller]
pub fn heartbeat(client: &mut Client, claim: &Claim) -> i16 {
    client.call(4, &claim.heartbeat(4)).error_code
}

/// A group as it is described, members and all.
#[track_caller]
pub fn description(client: &mut Client, group: &str) -> DescribedGroup {
    let mut answer = client.call(6, &groups::describe_request(&[group]));
    answer.groups.pop().must("find the group in the answer")
}

/// The state that a group is described in.
#[track_caller]
pub fn state(client: &mut Client, group: &str) -> String {
    description(client, group).group_state.to_string()
}

/// One member and its connection. Its requests are of the newest versions.
pub struct Member {
    address: SocketAddr,
    pub client: Client,
    pub claim: Claim,
    ask: JoinAsk,
    leads: bool,
    /// Whom it has to assign to, where it leads.
    pub members: Vec<String>,
}

impl Member {
    /// A member to be: it has an id of the coordinator's, unless it is static, and has not joined.
    #[track_caller]
    pub fn introduced(address: SocketAddr, ask: JoinAsk) -> Self {
        let mut client = Client::connect(address);
        let mut ask = ask;
        if ask.instance.is_none() && ask.member.is_empty() {
            let answer = client.call(9, &ask.request(9));
            assert_eq!(answer.error_code, MEMBER_ID_REQUIRED, "{ask:?}");
            ask = ask.member(&answer.member_id);
        }
        let claim = Claim { instance: ask.instance.clone(), ..claim_of(&ask.group, &ask.member, -1) };
        Self { address, client, claim, ask, leads: false, members: Vec::new() }
    }

    /// A new member, once its generation is there.
    #[track_caller]
    pub fn join(world: &World, ask: JoinAsk) -> Self {
        let mut member = Self::introduced(world.address(), ask);
        member.rejoin();
        member
    }

    /// The only member of a group, with everything assigned to it.
    #[track_caller]
    pub fn alone(world: &World, ask: JoinAsk) -> Self {
        let mut member = Self::join(world, ask);
        member.leads_and_assigns(&[]);
        member
    }

    /// Sends its JoinGroup, which may be parked; [`Member::joined`] takes the answer.
    pub fn send_join(&mut self) -> i32 {
        let request = self.ask.clone().member(&self.claim.member).request(9);
        self.client.send(9, &request)
    }

    #[track_caller]
    pub fn joined(&mut self, correlation: i32) -> &mut Self {
        let answer = self.client.receive::<JoinGroupRequest>(9, correlation);
        assert_eq!(answer.error_code, NONE, "the code of {:?} in {:?}", self.claim.member, self.claim.group);
        self.claim.generation = answer.generation_id;
        self.claim.member = answer.member_id.to_string();
        self.leads = answer.leader == answer.member_id;
        self.members = answer.members.iter().map(|of| of.member_id.to_string()).collect();
        assert_eq!(self.leads, !self.members.is_empty(), "the leader, and nobody else, is told who is there");
        self
    }

    #[track_caller]
    pub fn rejoin(&mut self) -> &mut Self {
        let correlation = self.send_join();
        self.joined(correlation)
    }

    pub fn leads(&self) -> bool {
        self.leads
    }

    pub fn id(&self) -> &str {
        &self.claim.member
    }

    pub fn generation(&self) -> i32 {
        self.claim.generation
    }

    /// On another connection, as after a restart of the server or the client.
    pub fn reconnect(&mut self, address: SocketAddr) {
        self.address = address;
        self.client = Client::connect(address);
    }

    pub fn send_sync(&mut self, assignment: &[(&str, &[u8])]) -> i32 {
        let request = self.claim.sync(5, assignment).with_protocol_type(Some(text(&self.ask.kind)));
        self.client.send(5, &request)
    }

    #[track_caller]
    pub fn synced(&mut self, correlation: i32) -> SyncGroupResponse {
        self.client.receive::<SyncGroupRequest>(5, correlation)
    }

    /// Its assignment; its sync is answered without an error.
    #[track_caller]
    pub fn sync(&mut self, assignment: &[(&str, &[u8])]) -> Vec<u8> {
        let correlation = self.send_sync(assignment);
        let answer = self.synced(correlation);
        assert_eq!(answer.error_code, NONE, "the code of a sync of {:?}", self.claim);
        answer.assignment.to_vec()
    }

    /// It leads, assigns each member its own id as bytes, and the others get theirs.
    #[track_caller]
    pub fn leads_and_assigns(&mut self, others: &[&Self]) {
        assert!(self.leads, "{:?} does not lead", self.claim);
        let mut ids = vec![self.id().to_owned()];
        ids.extend(others.iter().map(|other| other.id().to_owned()));
        let parts: Vec<(&str, &[u8])> = ids.iter().map(|id| (id.as_str(), id.as_bytes())).collect();
        assert_eq!(self.sync(&parts), self.id().as_bytes());
    }

    #[track_caller]
    pub fn heartbeat(&mut self) -> i16 {
        heartbeat(&mut self.client, &self.claim)
    }

    /// The code of its leaving.
    #[track_caller]
    pub fn leave(&mut self) -> i16 {
        let answer = self.client.call(5, &self.claim.leave(5));
        assert_eq!(answer.error_code, NONE, "the code of the whole");
        answer.members.first().must("find the member in the answer").error_code
    }

    /// The code of a commit in its generation.
    #[track_caller]
    pub fn commit(&mut self, at: At<'_>, value: impl Into<Value>) -> i16 {
        commit_as(&mut self.client, &self.claim, at, value)
    }
}

/// The code of a commit by whoever claims so.
#[track_caller]
pub fn commit_as(client: &mut Client, claim: &Claim, at: At<'_>, value: impl Into<Value>) -> i16 {
    let mut ask = commit_of(&*claim.group).member(&claim.member).generation(claim.generation).put(at, value);
    if let Some(instance) = &claim.instance {
        ask = ask.instance(instance);
    }
    match client.commit_ask(9, &ask).codes().as_slice() {
        [code] => *code,
        codes => panic!("{} codes for one partition", codes.len()),
    }
}

/// Two members that share a group, stable, the first leading.
#[track_caller]
pub fn two(world: &World, group: &str) -> [Member; 2] {
    let one = Member::alone(world, join_of(group));
    let two = Member::introduced(world.address(), join_of(group));
    rebalanced([one, two])
}

/// All of them join, the members of a group that is stable and those that are new to it, into one generation.
///
/// A follower with nothing new to say is told the generation that there is: so the newcomers come first, or else the
/// leader, and the others when the group has begun to rebalance.
#[track_caller]
pub fn join_together(members: &mut [Member]) {
    let newcomers = members.iter().filter(|of| of.generation() < 0).count();
    let mut client = Client::connect(members[0].address);
    let group = members[0].claim.group.clone();
    let first = |of: &Member| if newcomers > 0 { of.generation() < 0 } else { of.leads };
    let mut sent: Vec<Option<i32>> = members.iter_mut().map(|of| first(of).then(|| of.send_join())).collect();
    if sent.contains(&None) {
        within(Duration::from_secs(10), "see the group rebalance, and all newcomers in it", || {
            let group = description(&mut client, &group);
            &*group.group_state == "PreparingRebalance" && group.members.len() >= members.len()
        });
    }
    for (member, sent) in members.iter_mut().zip(&mut sent) {
        sent.get_or_insert_with(|| member.send_join());
    }
    for (member, correlation) in members.iter_mut().zip(sent) {
        member.joined(correlation.must("find what it has sent"));
    }
}

/// The same of so many.
#[track_caller]
pub fn joined_together<const N: usize>(mut members: [Member; N]) -> [Member; N] {
    join_together(&mut members);
    members
}

/// All of them join, and the leader assigns each its own id as bytes.
#[track_caller]
pub fn rebalanced<const N: usize>(members: [Member; N]) -> [Member; N] {
    let mut members = joined_together(members);
    assign(&mut members);
    members
}

/// The leader among them assigns each its own id as bytes, and each gets it.
#[track_caller]
pub fn assign(members: &mut [Member]) {
    let ids: Vec<String> = members.iter().map(|of| of.id().to_owned()).collect();
    let parts: Vec<(&str, &[u8])> = ids.iter().map(|id| (id.as_str(), id.as_bytes())).collect();
    let leaders = members.iter().filter(|of| of.leads).count();
    assert_eq!(leaders, 1, "how many lead");
    let sent: Vec<i32> = members
        .iter_mut()
        .map(|of| if of.leads { of.send_sync(&parts) } else { of.send_sync(&[]) })
        .collect();
    for (member, correlation) in members.iter_mut().zip(sent) {
        let answer = member.synced(correlation);
        assert_eq!((answer.error_code, &*answer.assignment), (NONE, member.id().as_bytes()));
    }
}
