//! The API of one server, called with one key: Queqiao as the app of a project meets it. What apps
//! set up, staff and message types, is set up here, before a story as well as in it.

use std::pin::Pin;

use queqiao::simulator::population;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::app::Answer;
use super::described;

/// A server and a key.
#[derive(Clone, Copy)]
pub(crate) struct Api<'a> {
    pub(crate) http: &'a Client,
    /// Scheme, host and port.
    pub(crate) url: &'a str,
    /// Empty: none.
    pub(crate) key: &'a str,
}

impl<'a> Api<'a> {
    /// Calls the API; `path` is below `/api/v1`.
    pub(crate) async fn call(self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url));
        if !self.key.is_empty() {
            request = request.bearer_auth(self.key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        send(request).await
    }

    pub(crate) async fn get(self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(&body)).await
    }

    pub(crate) async fn put(self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(&body)).await
    }

    /// Adds a message type that is not there yet.
    pub(crate) async fn message_type(self, name: &str, routes: Value) {
        let body = json!({"routes": routes});
        let path = format!("/message-types/{name}");
        self.put(&path, body).await.ok(201);
    }

    /// Adds a staff member who is not there yet, as soon as this is awaited.
    pub(crate) fn staff(self, staff_id: &str) -> NewStaff<'a> {
        NewStaff {
            api: self,
            staff_id: staff_id.to_owned(),
            name: None,
            whom: None,
        }
    }

    /// Adds an endpoint for these types of events, as it is shown once.
    pub(crate) async fn endpoint(self, url: &str, events: &[&str]) -> Value {
        let body = json!({"url": url, "events": events});
        self.post("/webhooks", body).await.ok(201)
    }

    /// Binds a staff member, who is there; the binding.
    pub(crate) async fn bind(self, staff_id: &str, whom: Value) -> Value {
        let path = format!("/staff/{staff_id}/bindings");
        self.post(&path, whom).await.ok(201)
    }
}

/// Sends any request.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.unwrap();
    let answer = Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    };
    if let Some(path) = path.strip_prefix("/api/v1") {
        described::check(&method, path, &answer);
    }
    answer
}

/// A staff member about to be added. Awaited, it is the binding, or else the staff member.
#[must_use = "nobody is added before it is awaited"]
pub(crate) struct NewStaff<'a> {
    api: Api<'a>,
    staff_id: String,
    name: Option<String>,
    whom: Option<Value>,
}

impl NewStaff<'_> {
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Who they are: see [`by_openid`] and [`by_unionid`].
    pub(crate) fn bound_to(mut self, whom: Value) -> Self {
        self.whom = Some(whom);
        self
    }

    async fn add(self) -> Value {
        let body = match &self.name {
            Some(name) => json!({"name": name}),
            None => json!({}),
        };
        let path = format!("/staff/{}", self.staff_id);
        let added = self.api.put(&path, body).await.ok(201);
        match self.whom {
            Some(whom) => self.api.bind(&self.staff_id, whom).await,
            None => added,
        }
    }
}

impl<'a> IntoFuture for NewStaff<'a> {
    type Output = Value;
    type IntoFuture = Pin<Box<dyn Future<Output = Value> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.add())
    }
}

/// A person, by their openid in an account.
pub(crate) fn by_openid(app_id: &str, person: u32) -> Value {
    json!({"app_id": app_id, "openid": population::openid(app_id, person)})
}

/// A person, by their unionid.
pub(crate) fn by_unionid(person: u32) -> Value {
    json!({"unionid": population::unionid(person)})
}
