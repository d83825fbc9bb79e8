"""A provider of OpenID Connect for the tests: Authlib's, which demands PKCE, a nonce and the client's secret.

    test_oidc.py CLIENT_ID CLIENT_SECRET [HOST]

It prints its issuer, at a free port of 127.0.0.1 (or HOST, a name of it), and serves until it is killed. Besides what a
provider has:

    PUT  /people/SUBJECT   makes somebody; the body is their claims
    POST /rotate           from now on another key signs, and the one before is no more
    GET  /authorize?…      with `login=SUBJECT`, somebody signs in at once; `login=` refuses
"""

import os
import sys
import time
from dataclasses import dataclass, field
from wsgiref.simple_server import WSGIRequestHandler, make_server

# Loopback needs no TLS; Authlib refuses HTTP otherwise.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.oauth2.rfc6749 import AccessDeniedError, AuthorizationCodeMixin, ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode, UserInfo
from flask import Flask, jsonify, request
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = sys.argv[1], sys.argv[2]
HOST = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"

app = Flask(__name__)
people, codes, tokens, nonces = {}, {}, {}, set()
keys = {}


def rotate():
    keys["now"] = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": f"key-{time.monotonic_ns()}"})


class Client(ClientMixin):
    def get_client_id(self):
        return CLIENT_ID

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri.startswith("http://") and "/sign-in/callback/" in redirect_uri

    def check_client_secret(self, client_secret):
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):
    code: str
    subject: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str
    auth_time: int = field(default_factory=lambda: int(time.time()))

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return self.auth_time

    def get_acr(self):
        return None

    def get_amr(self):
        return None


@dataclass
class Token(TokenMixin):
    access_token: str
    subject: str
    scope: str

    def check_client(self, client):
        return True

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return 3600

    def is_expired(self):
        return False

    def is_revoked(self):
        return False


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

    def save_authorization_code(self, code, request):
        data = request.payload.data
        nonces.add(data.get("nonce"))
        codes[code] = Code(
            code,
            request.user,
            request.payload.redirect_uri,
            request.payload.scope,
            data.get("nonce"),
            data.get("code_challenge"),
            data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        return codes.get(code)

    def delete_authorization_code(self, authorization_code):
        codes.pop(authorization_code.code, None)

    def authenticate_user(self, authorization_code):
        return authorization_code.subject


def claims_of(subject, scope):
    claims = dict(people.get(subject, {}))
    # Some providers tell the address only where it is asked for with the token.
    return claims | {"sub": subject}


class Identity(OpenIDCode):
    def exists_nonce(self, nonce, request):
        return nonce in nonces

    def get_client_algorithm(self, client):
        return "RS256"

    def resolve_client_private_key(self, client):
        return keys["now"]

    def get_client_claims(self, client):
        return {"iss": app.config["ISSUER"], "aud": [CLIENT_ID]}

    def get_encode_header(self, client):
        return {"alg": "RS256", "kid": keys["now"].kid}

    def generate_user_info(self, user, scope):
        claims = claims_of(user, scope)
        if claims.pop("only_userinfo", False):
            claims = {"sub": user}
        return UserInfo(claims)


class Bearer(BearerTokenValidator):
    def authenticate_token(self, token_string):
        return tokens.get(token_string)


def save_token(token, request):
    tokens[token["access_token"]] = Token(token["access_token"], request.user, token.get("scope", ""))


server = AuthorizationServer(app, query_client=lambda id: Client() if id == CLIENT_ID else None, save_token=save_token)
server.register_grant(CodeGrant, [CodeChallenge(required=True), Identity(require_nonce=True)])
protect = ResourceProtector()
protect.register_token_validator(Bearer())


@app.get("/.well-known/openid-configuration")
def configuration():
    issuer = app.config["ISSUER"]
    return jsonify(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/authorize",
        token_endpoint=f"{issuer}/token",
        userinfo_endpoint=f"{issuer}/userinfo",
        jwks_uri=f"{issuer}/jwks",
        response_types_supported=["code"],
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["RS256"],
        token_endpoint_auth_methods_supported=["client_secret_basic"],
        code_challenge_methods_supported=["S256"],
    )


@app.get("/jwks")
def jwks():
    return jsonify(KeySet([keys["now"]]).as_dict(private=False))


@app.get("/authorize")
def authorize():
    subject = request.args.get("login")
    grant = server.get_consent_grant(end_user=subject)
    if not subject:
        error = AccessDeniedError(redirect_uri=grant.request.payload.redirect_uri)
        error.state = grant.request.payload.state
        return server.handle_error_response(server.create_oauth2_request(None), error)
    return server.create_authorization_response(grant_user=subject, grant=grant)


@app.post("/token")
def token():
    return server.create_token_response()


@app.get("/userinfo")
@protect()
def userinfo():
    claims = claims_of(current_token.subject, current_token.scope)
    claims.pop("only_userinfo", None)
    return jsonify(claims)


@app.put("/people/<subject>")
def put_person(subject):
    people[subject] = request.get_json(force=True)
    return "", 204


@app.post("/rotate")
def post_rotate():
    rotate()
    return "", 204


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


rotate()
with make_server("127.0.0.1", 0, app, handler_class=Quiet) as listener:
    app.config["ISSUER"] = f"http://{HOST}:{listener.server_port}"
    print(app.config["ISSUER"], flush=True)
    listener.serve_forever()
