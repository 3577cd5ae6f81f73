//! Requests, as the API gateway passes them on.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lambda_http::RequestExt as _;
use lambda_http::http::Method;
use lambda_http::request::RequestContext;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::accepts::{AGENT_ID, Accepts, CUSTOMER_ID, PAGE_SIZE, PAGE_TOKEN, TYPE};
use super::view::Tagged;
use super::{Preconditions, customer_query, idempotency_key, json};
use crate::domain::event::{EventQuery, EventType};
use crate::domain::find::Filter;
use crate::domain::gate::Party;
use crate::domain::hold::HoldName;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::owned::Kind;
use crate::domain::page::MAX_PAGE_SIZE;
use crate::domain::participant::ParticipantName;
use crate::domain::quota::QuotaStatus;
use crate::domain::value::Password;
use crate::domain::{Actor, Agent, Customer, Error, Id, TicketHash};

/// Headers that change what a request means, and that no route evaluates. A request with one of them is
/// refused. If they were ignored, an update with a condition on a date could overwrite another update, and a
/// request that stands for another method would do something else than the client meant.
const UNSUPPORTED_HEADERS: [&str; 5] = [
    "Prefer",
    "If-Unmodified-Since",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
];

/// A request. Credentials are removed from the headers and the query, so that no other code sees them.
pub struct Request {
    id: String,
    client_id: Option<String>,
    method: Method,
    path: String,
    route: String,
    host: String,
    source_ip: String,
    is_past_front: bool,
    /// Whether the request has the header `webhook-id`, as the webhooks that this system sends do.
    is_webhook: bool,
    path_id: Option<String>,
    path_kind: Option<String>,
    path_file: Option<String>,
    path_name: Option<String>,
    path_ticket: Option<String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
    unsupported_header: Option<&'static str>,
    if_match: Option<String>,
    if_none_match: Option<String>,
    idempotency_key: Option<String>,
    query: Vec<(String, String)>,
    accepts: Accepts,
    credentials: Vec<SentCredential>,
    has_token_in_url: bool,
    body: Vec<u8>,
    statuses: QuotaStatuses,
    actor: Arc<OnceLock<Actor>>,
}

/// A credential that the client sent.
enum SentCredential {
    /// A token, sent as `Bearer` or in the query.
    Token(String),
    /// An `Authorization` header with no scheme, or with a scheme other than `Bearer`.
    OtherScheme,
}

/// Status of each rate limit that a request counted against.
pub type QuotaStatuses = Arc<Mutex<Vec<QuotaStatus>>>;

/// Page of a list that the query asks for.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery<'a> {
    /// Page size: 1 to 100 rows.
    pub size: usize,
    /// Cursor, as the previous page's `next_page_token`; `None` for the first page.
    pub token: Option<&'a str>,
}

impl<'a> PageQuery<'a> {
    /// Returns the cursor, the position after which the page begins, parsed by `parse`; `None` for the first
    /// page.
    pub fn cursor<T>(&self, parse: impl FnOnce(&'a str) -> Option<T>) -> Result<Option<T>, Error> {
        let invalid = || {
            Error::InvalidParameter(
                PAGE_TOKEN,
                "must be the next_page_token of an earlier page".to_owned(),
            )
        };
        self.token.map(|token| parse(token).ok_or_else(invalid)).transpose()
    }
}

impl Request {
    /// Builds a request from what the gateway sent, for a route that accepts the parameters and headers in
    /// `accepts`.
    #[must_use]
    pub fn new(request: lambda_http::Request, accepts: Accepts) -> Self {
        let header = |name: &str| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let list = |name: &str| {
            let values = request.headers().get_all(name).iter();
            let values: Vec<_> =
                values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        let (id, route, host, source_ip) = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                let (id, route) = (context.request_id.clone(), context.route_key.clone());
                (id, route, context.domain_name.clone(), context.http.source_ip.clone())
            }
            _ => (None, None, None, None),
        };
        let in_path = |name: &str| {
            request
                .path_parameters_ref()
                .and_then(|parameters| parameters.first(name))
                .map(str::to_owned)
        };
        let versioned = request.raw_http_path().starts_with("/v1.0/");
        // The gateway joins headers of one name by commas, which no token contains.
        let authorization = header("authorization");
        let sent = authorization.iter().flat_map(|header| header.split(','));
        let mut credentials: Vec<_> = sent.map(|value| bearer(value.trim())).collect();
        let mut query: Vec<(String, String)> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let is_credential =
            |(name, _): &mut (String, String)| name == "token" || name == "accesskey";
        let sent_in_query: Vec<_> = query.extract_if(.., is_credential).collect();
        let has_token_in_url = versioned && !sent_in_query.is_empty();
        if versioned {
            let in_query = sent_in_query.into_iter();
            credentials.extend(in_query.map(|(_, token)| SentCredential::Token(token)));
        } else {
            // Outside `/v1.0/`, `token` and `accesskey` are unknown parameters, and refused as such. Their values
            // are dropped all the same.
            query.extend(sent_in_query.into_iter().map(|(name, _)| (name, String::new())));
        }
        Self {
            id: id.filter(|id| !id.is_empty()).unwrap_or_else(new_request_id),
            client_id: header("x-request-id").filter(|id| is_client_id(id)),
            method: request.method().clone(),
            path: request.raw_http_path().to_owned(),
            route: route.unwrap_or_default(),
            host: host.unwrap_or_default(),
            source_ip: source_ip.unwrap_or_default(),
            is_past_front: false,
            is_webhook: request.headers().contains_key("webhook-id"),
            path_id: in_path("id"),
            path_kind: in_path("kind"),
            path_file: in_path("file"),
            path_name: in_path("name"),
            path_ticket: in_path("ticket"),
            content_type: header("content-type"),
            content_encoding: header("content-encoding"),
            unsupported_header: UNSUPPORTED_HEADERS
                .into_iter()
                .find(|name| request.headers().contains_key(*name)),
            if_match: list("if-match"),
            if_none_match: list("if-none-match"),
            idempotency_key: list("idempotency-key"),
            query,
            accepts,
            credentials,
            has_token_in_url,
            body: request.into_body().to_vec(),
            statuses: QuotaStatuses::default(),
            actor: Arc::default(),
        }
    }

    /// Returns the request as received behind a front, a proxy that all requests of the deployment must come
    /// through. `client` is the client's address according to the front, and replaces the address that the
    /// gateway saw; `None` marks the request as one that has bypassed the front.
    #[must_use]
    pub fn through_front(self, client: Option<IpAddr>) -> Self {
        let source_ip = client.map(|client| client.to_string()).unwrap_or_default();
        Self { is_past_front: client.is_none(), source_ip, ..self }
    }

    /// Refuses a request that has bypassed the deployment's [front](Self::through_front), as if the route did
    /// not exist.
    pub fn require_front(&self) -> Result<(), Error> {
        if self.is_past_front { Err(Error::RouteNotFound) } else { Ok(()) }
    }

    /// Refuses a request that is one of this service's webhooks: handling it could cause the next webhook,
    /// and so on.
    pub const fn require_no_webhook(&self) -> Result<(), Error> {
        if self.is_webhook { Err(Error::LoopDetected) } else { Ok(()) }
    }

    /// Returns the request's id, which the gateway has assigned and also writes to its access log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the id that the client has given the request in `X-Request-Id`. `None` if it sent none, or
    /// anything but 1 to 64 letters, digits, `-` and `_`.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Records who sent the request, for the log.
    pub fn identified(&self, actor: Actor) {
        // A request has one credential, so a second call would name the same actor.
        let _ = self.actor.set(actor);
    }

    /// Returns the shared slot for the actor (the agent or access key) that sent the request. It is empty
    /// until the caller is authenticated.
    #[must_use]
    pub fn actor(&self) -> Arc<OnceLock<Actor>> {
        Arc::clone(&self.actor)
    }

    /// Returns the gateway's route key, such as `GET /v1.0/customers/{id}`.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// Returns the host name at which the request reached the API.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Records what is left of a rate limit that the request counted against, for the `RateLimit` headers of
    /// the reply.
    pub fn counted(&self, status: QuotaStatus) {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }

    /// Returns what is left of each rate limit that the request has counted against so far.
    #[must_use]
    pub fn quota_statuses(&self) -> QuotaStatuses {
        Arc::clone(&self.statuses)
    }

    /// Whether the request's method only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.method.is_safe()
    }

    /// Returns on whose behalf the request acts: an operator's if the query names an account, otherwise the
    /// owner's.
    #[must_use]
    pub fn party(&self) -> Party {
        if self.names_account() { Party::Operator } else { Party::Owner }
    }

    /// Returns the name of the hold in the path, or the default name if the path has none.
    pub fn path_hold(&self) -> Result<HoldName, Error> {
        let invalid = || Error::InvalidParameter("name", HoldName::RULE.to_owned());
        match self.path_name.as_deref() {
            None => Ok(HoldName::default_name()),
            Some(name) => HoldName::parse(name).ok_or_else(invalid),
        }
    }

    /// Returns the name of the participant in the path.
    pub fn path_participant(&self) -> Result<ParticipantName, Error> {
        let invalid = || Error::InvalidParameter("name", ParticipantName::RULE.to_owned());
        self.path_name.as_deref().and_then(ParticipantName::parse).ok_or_else(invalid)
    }

    /// Returns the `Idempotency-Key` of a POST or PUT. For other methods, which are idempotent without one,
    /// returns `None`.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, Error> {
        let counts = matches!(self.method, Method::POST | Method::PUT);
        let sent = self.idempotency_key.as_deref().filter(|_| counts);
        sent.map(idempotency_key::parse).transpose()
    }

    /// Returns the method, path, query and body, without credentials. Their hash, the fingerprint, tells
    /// whether two requests with one idempotency key are the same. Bodies that are the same JSON value in
    /// different spellings give the same text.
    #[must_use]
    pub fn whole(&self) -> String {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        let body = serde_json::from_slice::<serde_json::Value>(&self.body).map_or_else(
            |_| String::from_utf8_lossy(&self.body).into_owned(),
            |parsed| parsed.to_string(),
        );
        format!("{} {}?{query}\n{body}", self.method, self.path)
    }

    /// Returns the client's IP address: the one that the gateway saw or, behind a
    /// [front](Self::through_front), the one that the front sent. Other headers are ignored.
    #[must_use]
    pub fn source_ip(&self) -> &str {
        &self.source_ip
    }

    /// Returns the token that the client sent, in the header or the query. Fails unless it sent exactly one
    /// credential, and that is a token.
    pub fn token(&self) -> Result<&str, Error> {
        match self.credentials.as_slice() {
            [] => Err(Error::AuthenticationRequired),
            [SentCredential::Token(token)] => Ok(token),
            [SentCredential::OtherScheme] => Err(Error::UnsupportedScheme),
            _ => Err(Error::AmbiguousCredentials),
        }
    }

    /// Whether a token was sent in the URL, where logs and caches may keep it.
    #[must_use]
    pub const fn has_token_in_url(&self) -> bool {
        self.has_token_in_url
    }

    /// Returns the id in the path.
    pub fn path_id<T>(&self) -> Result<Id<T>, Error> {
        self.path_id.as_deref().and_then(Id::parse).ok_or(Error::InvalidId)
    }

    /// Returns the hash of the ticket in the path. The ticket may be malformed or missing: no stored hash
    /// equals its hash then.
    #[must_use]
    pub fn path_ticket(&self) -> TicketHash {
        TicketHash::of(self.path_ticket.as_deref().unwrap_or_default())
    }

    /// Parses the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::parse(self.content_type.as_deref(), self.content_encoding.as_deref(), &self.body)
    }

    /// Parses the body as JSON into two structs: an `A` from the fields that `A` has, and a `B` from the rest.
    pub fn json_both<A: DeserializeOwned, B: DeserializeOwned>(&self) -> Result<(A, B), Error> {
        json::parse_both(self.content_type.as_deref(), self.content_encoding.as_deref(), &self.body)
    }

    /// Parses the body of an update as JSON. Fails if `shown`, the resource as `GET` shows it, does not meet
    /// the preconditions. Fields of `shown` that `T` lacks are read-only: they are accepted if unchanged, so
    /// that a client can send back what it got.
    ///
    /// Preconditions are checked first, so that a client that sends back an outdated representation gets 412,
    /// and not an error about a read-only field that has changed meanwhile.
    pub fn json_over<T: DeserializeOwned>(&self, shown: &impl Tagged) -> Result<T, Error> {
        self.preconditions()?.require(shown)?;
        let (media_type, encoding) =
            (self.content_type.as_deref(), self.content_encoding.as_deref());
        json::parse_over(media_type, encoding, &self.body, shown)
    }

    /// Parses the body of an update as JSON into two structs: an `A` from the fields that `A` has, and a `B`
    /// from the rest. Checks preconditions and read-only fields as [`json_over`](Self::json_over) does.
    pub fn json_both_over<A: DeserializeOwned, B: DeserializeOwned>(
        &self,
        shown: &impl Tagged,
    ) -> Result<(A, B), Error> {
        self.preconditions()?.require(shown)?;
        let (media_type, encoding) =
            (self.content_type.as_deref(), self.content_encoding.as_deref());
        json::parse_both_over(media_type, encoding, &self.body, shown)
    }

    /// Returns the field `current_password` of the body. `None` if there is none, or if the body is
    /// malformed; the handler refuses a malformed body when it parses all of it.
    #[must_use]
    pub fn current_password(&self) -> Option<Password> {
        #[derive(Deserialize)]
        struct Proof {
            current_password: Option<Password>,
        }
        self.json::<Proof>().ok()?.current_password
    }

    /// Returns the If-Match / If-None-Match preconditions.
    pub fn preconditions(&self) -> Result<Preconditions, Error> {
        Preconditions::parse(self.if_match.as_deref(), self.if_none_match.as_deref())
    }

    /// Refuses a query parameter that the route does not accept, one that is sent twice, and a header that
    /// would change what the request means but that the route does not evaluate.
    pub fn require_accepted(&self) -> Result<(), Error> {
        self.accepts.check_query(&self.query)?;
        if let Some(name) = self.unsupported_header {
            return Err(Error::UnsupportedHeader(name));
        }
        let is_conditional = !self.accepts.preconditions;
        for (name, is_unsupported) in [
            ("If-Match", is_conditional && self.if_match.is_some()),
            ("If-None-Match", is_conditional && self.if_none_match.is_some()),
        ] {
            if is_unsupported {
                return Err(Error::UnsupportedHeader(name));
            }
        }
        Ok(())
    }

    /// Returns the kind of resource that the path names. Fails with [`Error::RouteNotFound`] for any other name.
    pub fn path_kind(&self) -> Result<Kind, Error> {
        self.path_kind.as_deref().and_then(Kind::resource).ok_or(Error::RouteNotFound)
    }

    /// Returns the name of the file in the path; `None` if the path has none.
    #[must_use]
    pub fn path_file(&self) -> Option<&str> {
        self.path_file.as_deref()
    }

    /// Parses the body as JSON; returns the default of `T` if the body is empty.
    pub fn json_if_any<T: DeserializeOwned + Default>(&self) -> Result<T, Error> {
        if self.body.trim_ascii().is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// Returns the page that the query asks for.
    pub fn page(&self) -> Result<PageQuery<'_>, Error> {
        let size = self.parameter(PAGE_SIZE).map_or(Ok(MAX_PAGE_SIZE), page_size)?;
        let token = self.parameter(PAGE_TOKEN).filter(|token| !token.is_empty());
        Ok(PageQuery { size, token })
    }

    /// Returns the page of an account's history that the query asks for.
    pub fn event_query(&self) -> Result<EventQuery, Error> {
        let named = |name| {
            let rule = "must be an event type, such as customer_frozen or number_created";
            EventType::of_name(name).ok_or_else(|| Error::InvalidParameter(TYPE, rule.to_owned()))
        };
        let event_type = self.parameter(TYPE).map(named).transpose()?;
        let page = self.page()?;
        Ok(EventQuery { event_type, size: page.size, after: page.cursor(Id::parse)? })
    }

    /// Returns the filter for a list of accounts, and the page, that the query asks for.
    pub fn page_of_filter(&self) -> Result<(Filter, PageQuery<'_>), Error> {
        Ok((customer_query::parse(|name| self.parameter(name))?, self.page()?))
    }

    /// Returns the id of the account that the request is about: the one that the query names, otherwise
    /// `own`.
    pub fn account(&self, own: Id<Customer>) -> Result<Id<Customer>, Error> {
        let invalid = || Error::InvalidParameter(CUSTOMER_ID, "must be a UUID".to_owned());
        self.parameter(CUSTOMER_ID).map_or(Ok(own), |text| Id::parse(text).ok_or_else(invalid))
    }

    /// Returns the id of the agent that the request is about: the one that the query names, otherwise `own`.
    pub fn agent(&self, own: Id<Agent>) -> Result<Id<Agent>, Error> {
        let invalid = || Error::InvalidParameter(AGENT_ID, "must be a UUID".to_owned());
        self.parameter(AGENT_ID).map_or(Ok(own), |text| Id::parse(text).ok_or_else(invalid))
    }

    /// Whether the query names an account, by a well-formed id or not.
    #[must_use]
    pub fn names_account(&self) -> bool {
        self.parameter(CUSTOMER_ID).is_some()
    }

    /// Returns the value of a query parameter. `None` if it was not sent, or if the route does not accept it.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let sent = self.query.iter().find(|(sent, _)| sent == name);
        sent.filter(|_| self.accepts.query.contains(&name)).map(|(_, value)| value.as_str())
    }
}

fn page_size(text: &str) -> Result<usize, Error> {
    // As JSON Schema has it, a number with a zero fraction is an integer.
    let text = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            whole
        }
        _ => text,
    };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number that overflows is larger than the maximum, as any other large number.
    let size = if digits { text.parse().unwrap_or(usize::MAX) } else { 0 };
    if size == 0 {
        return Err(Error::InvalidParameter(
            PAGE_SIZE,
            "must be a whole number from 1 to 100".to_owned(),
        ));
    }
    Ok(size.min(MAX_PAGE_SIZE))
}

/// Parses one credential of the `Authorization` header.
fn bearer(value: &str) -> SentCredential {
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            SentCredential::Token(token.trim().to_owned())
        }
        _ => SentCredential::OtherScheme,
    }
}

fn is_client_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn new_request_id() -> String {
    let mut random = [0; 16];
    // An id that is not unique does no harm; a request that fails for want of one would.
    let _ = getrandom::fill(&mut random);
    format!("req_{}", data_encoding::BASE32_NOPAD.encode(&random).to_lowercase())
}
