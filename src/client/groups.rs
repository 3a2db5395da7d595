//! Groups: listed (of every server of the cluster), described and deleted (at their coordinator).

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest};

use super::calls::Call as _;
use super::{Broker, Cluster, Error, Refused, text};

/// A group in the list of its coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub group: String,
    /// `Empty`, `Stable`, ...; `None` from servers that do not tell.
    pub state: Option<String>,
    /// `classic`, `consumer`, ...; `None` from servers that do not tell.
    pub kind: Option<String>,
    /// What its members speak (`consumer`, `connect`); empty where it has none.
    pub protocol: String,
    /// The server that has it.
    pub coordinator: Broker,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub member_id: String,
    /// Its static name, if it has one.
    pub instance_id: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
}

/// What its coordinator says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The server that has it.
    pub coordinator: Broker,
    /// `Empty`, `Stable`, ...
    pub state: String,
    /// `classic`, `consumer`, ...; `None` from servers that do not tell.
    pub kind: Option<String>,
    /// What its members speak.
    pub protocol: String,
    /// The partition assignor, or whatever its members agreed upon.
    pub assignor: String,
    /// Its members; `None` if it is of a type whose members cannot be asked for here.
    pub members: Option<Vec<Member>>,
}

impl Cluster {
    /// Every group of every server, sorted by id.
    pub async fn groups(&mut self) -> Result<Vec<Listed>, Error> {
        let mut all = Vec::new();
        for broker in self.info().await?.brokers {
            all.extend(self.groups_of(&broker).await?);
        }
        all.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(all)
    }

    pub(super) async fn groups_of(&mut self, broker: &Broker) -> Result<Vec<Listed>, Error> {
        let answer = self.ask_at(&broker.endpoint, |_| ListGroupsRequest::default()).await?;
        if let Some(refused) = Refused::from_code(answer.error_code, None) {
            let at = broker.endpoint.clone();
            return Err(Error::Refused { at, api: ListGroupsRequest::NAME, refused });
        }
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let listed = |group: ListedGroup| Listed {
            group: group.group_id.to_string(),
            state: said(&group.group_state),
            kind: said(&group.group_type),
            protocol: group.protocol_type.to_string(),
            coordinator: broker.clone(),
        };
        Ok(answer.groups.into_iter().map(listed).collect())
    }

    /// What its coordinator says of a group; `None` if there is no such group.
    pub async fn describe(&mut self, group: &str) -> Result<Option<Described>, Error> {
        let build = |_| DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        let code = |answer: &<DescribeGroupsRequest as kafka_protocol::protocol::Request>::Response| {
            answer.groups.first().map_or(0, |group| group.error_code)
        };
        let (coordinator, answer) = self.ask_coordinator(group, build, code).await?;
        let (at, api) = (coordinator.endpoint.clone(), DescribeGroupsRequest::NAME);
        let Some(found) = answer.groups.into_iter().next() else {
            return Err(Error::Missing { at, api, what: format!("group {group:?}") });
        };
        // Older versions have no code for this.
        let dead = found.error_code == NOT_FOUND || (found.error_code == 0 && &*found.group_state == "Dead");
        if dead {
            // A group of another type than classic is "not found" here, and yet listed (KIP-848).
            let listed = self.groups_of(&coordinator).await?;
            return Ok(listed.into_iter().find(|listed| listed.group == group).map(|listed| Described {
                coordinator,
                state: listed.state.unwrap_or_default(),
                kind: listed.kind,
                protocol: listed.protocol,
                assignor: String::new(),
                members: None,
            }));
        }
        if let Some(refused) = Refused::from_code(found.error_code, found.error_message.as_deref()) {
            return Err(Error::Refused { at, api, refused });
        }
        let members = found.members.into_iter().map(|member| Member {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
        });
        Ok(Some(Described {
            coordinator,
            state: found.group_state.to_string(),
            kind: Some("classic".to_owned()),
            protocol: found.protocol_type.to_string(),
            assignor: found.protocol_data.to_string(),
            members: Some(members.collect()),
        }))
    }

    /// Deletes a group with all its positions. The inner error is the server's answer.
    pub async fn delete_group(&mut self, group: &str) -> Result<Result<(), Refused>, Error> {
        let build = |_| DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        let code = |answer: &<DeleteGroupsRequest as kafka_protocol::protocol::Request>::Response| {
            answer.results.first().map_or(0, |result| result.error_code)
        };
        let (coordinator, answer) = self.ask_coordinator(group, build, code).await?;
        let Some(result) = answer.results.first() else {
            let (at, api) = (coordinator.endpoint, DeleteGroupsRequest::NAME);
            return Err(Error::Missing { at, api, what: format!("group {group:?}") });
        };
        Ok(Refused::from_code(result.error_code, None).map_or(Ok(()), Err))
    }
}

/// Kafka's GROUP_ID_NOT_FOUND.
const NOT_FOUND: i16 = crate::wire::codes::GROUP_ID_NOT_FOUND;
