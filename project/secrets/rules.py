"""Regular expressions for secrets. All of them have the same meaning for RE2 and for Python's `re`."""

from __future__ import annotations

import hashlib

from . import gitleaks_rules
from .detectors import PLUGINS

_KEY_TEXT = r"""[\s"'\\nr+,#*]{1,60}(?:[A-Za-z-]+: [^\n]{0,80}[\s"'\\nr+,#*]{1,60})*[A-Za-z0-9+/]{16}"""
_QUOTE = r"""\\{0,4}["']"""
_TYPE = r"""(?:[ \t]{0,4}:?[ \t]{1,4}(?:str|string|String|Optional|SecretStr|Final|bytes)\b[\w.\[\]| ]{0,24})?"""
"""The type of a variable, as in `TOKEN: str = "..."` of Python and `const token string = "..."` of Go."""
_TO = rf"""(?P<separator>(?:{_QUOTE})?\]?{_TYPE}[ \t]{{0,8}}(?::=|==?|!=|=>|:|,|\||[ \t]-[ \t])[ \t]{{0,8}})"""
"""What stands between a name and its value, in Python, JSON, YAML, shells and others."""
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PEM_64 = "LS0tLS1CRUdJTi|0tLS0tQkVHSU4|tLS0tLUJFR0lO|InByaXZhdGVfa2V5|Jwcml2YXRlX2tleS|icHJpdmF0ZV9rZX"
"""`-----BEGIN` and `"private_key"` in base64, at each of the three places in a group."""

OWN: tuple[tuple[str, str], ...] = (
    ("service account key", rf"""{_QUOTE}private_key{_QUOTE}\s*:\s*{_QUOTE}-----BEGIN PRIVATE KEY-----{_KEY_TEXT}"""),
    ("private key", rf"""-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----{_KEY_TEXT}"""),
    ("private key in base64", rf"""(?:{_PEM_64})[A-Za-z0-9+/\\\s]{{100}}"""),
    ("private key of PuTTY", r"""PuTTY-User-Key-File-\d: [\w-]+"""),
    ("private key of age", r"""AGE-SECRET-KEY-1[A-Z0-9]{50}"""),
    ("private key of WireGuard", r"""(?:PrivateKey|PresharedKey)[ \t]{0,4}=[ \t]{0,4}[A-Za-z0-9+/]{43}="""),
    ("client key of Kubernetes", r"""(?:client-key-data|token-data)["']?:[ \t]{0,4}["']?[A-Za-z0-9+/]{40}"""),
    ("Kubernetes token", r"""(?i:token)[\w-]{0,10}["']?[ \t]{0,2}[:=][ \t]{0,2}["']?[a-z0-9]{6}\.[a-z0-9]{16}\b"""),
    ("Google refresh token", r"""\b1//0[A-Za-z0-9_-]{40,}"""),
    ("OAuth refresh token", rf"""{_QUOTE}refresh_token{_QUOTE}\s*:\s*{_QUOTE}[A-Za-z0-9/_.~+-]{{20,}}"""),
    ("Google access token", r"""\bya29\.[A-Za-z0-9_-]{20,}"""),
    ("Google API key", r"""\bAIza[A-Za-z0-9_-]{35}\b"""),
    ("Google client secret", r"""\bGOCSPX-[A-Za-z0-9_-]{28}"""),
    ("AWS secret key", r"""(?i:aws_?secret_?(?:access_?)?key)[\s"'\\:=]{1,12}[A-Za-z0-9/+]{40}\b"""),
    ("AWS session token", r"""(?i:aws_?se(?:ssion|curity)_?token)[\s"'\\:=]{1,12}[A-Za-z0-9/+=]{60,}"""),
    ("AWS marketplace token", rf"""\bamzn\.mws\.{_UUID}"""),
    ("AWS AppSync key", r"""\bda2-[a-z0-9]{26}\b"""),
    ("Azure storage key", r"""(?i:account_?key)[\s"'\\:=]{1,12}[A-Za-z0-9/+]{86}=="""),
    ("Azure client secret", r"""\b[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}\b"""),
    ("Azure shared access key", r"""(?i:sharedaccesskey|;secret)=[A-Za-z0-9/+]{43}="""),
    ("Azure shared access signature", r"""[?&]sig=[A-Za-z0-9%/+]{43,60}(?:%3[Dd]|=|&|\b)"""),
    ("Azure DevOps token", r"""\b[A-Za-z0-9]{75,76}AZDO[A-Za-z0-9]{4,5}\b"""),
    ("Azure DevOps token", r"""(?i:personal_?access_?token|azure|devops|_pat)[\w.-]{0,20}[\s"'\\:=]{1,10}[a-z2-7]{52}\b"""),
    ("GitHub token", r"""\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b"""),
    ("GitHub token", r"""\bgh[pousr]_[A-Za-z0-9]{36,76}\b"""),
    ("GitLab token", r"""\bgl(?:pat|dt|ft|soat|rt|imt|ptt|oas|ffct|agent|cbt|wt|rtr)-[A-Za-z0-9_.-]{20}"""),
    ("GitLab runner token", r"""\bGR1348941[A-Za-z0-9_-]{20}"""),
    ("Hugging Face token", r"""\b(?:hf_[A-Za-z0-9]{34,40}|api_org_[A-Za-z0-9]{34})\b"""),
    ("Weights & Biases key", r"""(?is:wandb.{0,60}?(?:key|login|password|token).{0,24}?)\b[0-9a-f]{40}\b"""),
    ("Weights & Biases key", r"""\bwandb_v1_[A-Za-z0-9_]{40,}"""),
    ("Kaggle key", rf"""{_QUOTE}key{_QUOTE}\s*:\s*{_QUOTE}[0-9a-f]{{32}}{_QUOTE}"""),
    ("Kaggle key", r"""\b(?:KAGGLE_KEY[\s"'\\:=\],]{1,12}[0-9a-f]{32}|KGAT_[0-9a-f]{32})\b"""),
    ("netrc password", r"""\bmachine\s+[\w.-]+\s+login\s+\S+\s+password\s+(\S{6,})"""),
    ("pgpass password", r"""(?m:^|["'])[\w.*-]+:(?:\d{2,5}|\*):[\w*-]+:[\w-]+:([^\s:"'\\]{4,80})(?m:$|[\\"'])"""),
    ("Docker registry password", rf"""{_QUOTE}auth{_QUOTE}\s*:\s*{_QUOTE}[A-Za-z0-9+/]{{12,}}={{0,2}}{_QUOTE}"""),
    ("Docker Hub token", r"""\bdckr_(?:[po]at|oat)_[A-Za-z0-9_-]{27,}"""),
    ("Databricks token", r"""\bdapi[0-9a-f]{32}(?:-\d)?\b"""),
    ("sk-ant key", r"""\bsk-ant-[a-z0-9]{2,8}-[A-Za-z0-9_-]{40,}"""),
    ("OpenAI key", r"""\bsk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{40,}"""),
    ("OpenAI key", r"""\bsk-[A-Za-z0-9]{48}\b"""),
    ("OpenRouter key", r"""\bsk-or-v\d-[0-9a-f]{64}"""),
    ("DeepSeek key", r"""\bsk-[0-9a-f]{32}\b"""),
    ("Groq key", r"""\bgsk_[A-Za-z0-9]{40,}"""),
    ("xAI key", r"""\bxai-[A-Za-z0-9]{60,}"""),
    ("Pinecone key", r"""\bpcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{50,}"""),
    ("Perplexity key", r"""\bpplx-[A-Za-z0-9]{40,}"""),
    ("Replicate token", r"""\br8_[A-Za-z0-9]{37}\b"""),
    ("Neptune token", r"""\beyJhcGlfYWRkcmVzcyI6[A-Za-z0-9+/=]{20,}"""),
    ("Comet or Cohere key", r"""(?i:comet|cohere)[\w.-]{0,20}[\s"':=\],]{1,8}[A-Za-z0-9]{25,40}\b"""),
    ("Modal token", r"""\ba[ks]-[A-Za-z0-9]{22}\b"""),
    ("Tavily key", r"""\btvly-(?:dev-|prod-)?[A-Za-z0-9]{20,}"""),
    ("Firecrawl key", r"""\bfc-[0-9a-f]{32}\b"""),
    ("Jina key", r"""\bjina_[0-9a-f]{32}[A-Za-z0-9]{20,}"""),
    ("LangSmith key", r"""\blsv2_[ps][tk]_[0-9a-f]{32}_[0-9a-f]{10}"""),
    ("ElevenLabs or similar key", r"""\bsk_[0-9a-f]{48}\b"""),
    ("Slack token", r"""\bxapp-[\w-]{6,}-[\w/-]{20,}"""),
    ("Slack token", r"""\bxox[a-z](?:\.xox[a-z])?-[0-9A-Za-z-]{20,}"""),
    ("Slack token", r"""hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]{20,}"""),
    ("Teams webhook", r"""office\.com/webhook(?:b2)?/[\w@-]{60,}/IncomingWebhook/"""),
    ("Discord webhook", r"""discord(?:app)?\.com/api/webhooks/\d{15,}/[\w-]{50,}"""),
    ("DigitalOcean token", r"""\bdo[opr]_v1_[a-f0-9]{64}"""),
    ("Vault token", r"""\bhv[bsr]\.[A-Za-z0-9_-]{24,}"""),
    ("Vault token", r"""(?i:vault|token)[\w.-]{0,20}[\s"':=]{1,8}[sbr]\.[A-Za-z0-9]{24,26}\b"""),
    ("Airtable token", r"""\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"""),
    ("Alchemy key", r"""\balcht_[A-Za-z0-9]{30}\b"""),
    ("Apify token", r"""\bapify_api_[A-Za-z0-9]{30,}"""),
    ("Bitbucket Data Center token", r"""\bBBDC-[A-Za-z0-9+/]{40,}"""),
    ("Cerebras or Langfuse key", r"""\b(?:csk-[a-z0-9]{40,}|sk-lf-[0-9a-f]{8}-[0-9a-f-]{27}|sk-helicone-[a-z0-9-]{20,})"""),
    ("Figma token", r"""\bfig[dou]r?_[A-Za-z0-9_-]{38,}"""),
    ("Fireworks or Together key", r"""\b(?:fw_[A-Za-z0-9]{20,28}|tgp_v1_[A-Za-z0-9_-]{40,})\b"""),
    ("LaunchDarkly key", r"""\b(?:api|sdk)-[a-z0-9]{8}-(?:[a-z0-9]{4}-){3}[a-z0-9]{12}\b"""),
    ("NVIDIA key", r"""\bnvapi-[A-Za-z0-9_-]{50,}"""),
    ("RunPod, E2B or Anyscale key", r"""\b(?:rpa_[A-Z0-9]{40,}[a-z0-9]{0,6}|e2b_[a-f0-9]{40}|esecret_[a-z0-9]{26,})\b"""),
    ("Neon or Render key", r"""\b(?:napi_[a-z0-9]{60,}|rnd_[A-Za-z0-9]{28,})\b"""),
    ("Rootly key", r"""\brootly_[a-f0-9]{64}\b"""),
    ("secret key", r"""\bsk_[a-z0-9_]{1,16}_[0-9a-f]{40}\b"""),
    ("webhook", r"""hooks\.zapier\.com/hooks/catch/[\w/]{12,}|\.tines\.com/webhook/\w{20,}/\w{20,}"""),
    ("Vault unseal key", r"""Unseal Key \d+: [A-Za-z0-9+/]{43,}=?"""),
    ("Grafana token", r"""\b(?:glc_[A-Za-z0-9+/]{32,}|glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|eyJrIjoi[A-Za-z0-9]{60,})"""),
    ("New Relic key", r"""\b(?:NR(?:AK|BR|II|IQ|AA|RA|SP|JS)-[A-Za-z0-9_-]{19,}|[0-9a-f]{36}NRAL|px-(?:api|dep)-[0-9a-f-]{36})"""),
    ("New Relic key", r"""(?i:license_?key)[\s"':=]{1,8}[0-9a-f]{40}\b"""),
    ("Sentry token", r"""\bsntry[su]_[A-Za-z0-9_+/=-]{40,}"""),
    ("Sentry address", r"""https://[0-9a-f]{32}(?::[0-9a-f]{32})?@[\w.-]*(?:sentry|ingest)[\w.-]*/\d+"""),
    ("Shopify token", r"""\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"""),
    ("Atlassian token", r"""\bATATT3[A-Za-z0-9_=-]{40,}"""),
    ("Bitbucket password", r"""\bATBB[A-Za-z0-9]{24,}\b"""),
    ("Pulumi token", r"""\bpul-[a-f0-9]{40}"""),
    ("1Password token", r"""\bops_eyJ[A-Za-z0-9+/_=-]{100,}"""),
    ("1Password key", r"""\bA3-[A-Z0-9]{6}-[A-Z0-9]{6}-?[A-Z0-9]{5}(?:-[A-Z0-9]{5}){3}\b"""),
    ("Mailgun key", r"""\bkey-[0-9a-f]{32}\b"""),
    ("Mailgun key", r"""\b[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b"""),
    ("npm token", r"""\bnpm_[A-Za-z0-9]{36}\b"""),
    ("npm token", r"""_auth(?:Token)?[ \t]?=[ \t]?["']?[A-Za-z0-9+/=_-]{16,}"""),
    ("Stripe key", r"""\b[rs]k_(?:live|test|prod)_[0-9A-Za-z]{16,}"""),
    ("Square token", r"""\b(?:sq0(?:atp|csp|atb)-|EAAAE)[A-Za-z0-9_-]{22,}"""),
    ("Facebook token", r"""\bEAACEdEose0cBA[0-9A-Za-z]+"""),
    ("Doppler token", r"""\bdp\.(?:ct|pt|st(?:\.[\w-]+)?|sa|scim|audit)\.[A-Za-z0-9]{40,44}\b"""),
    ("crates.io token", r"""\bcio[A-Za-z0-9]{32}\b"""),
    ("NuGet key", r"""\boy2[a-z0-9]{43}\b"""),
    ("Adafruit key", r"""\baio_[A-Za-z0-9]{28}\b"""),
    ("Dependency-Track key", r"""\bodt_[A-Za-z0-9_]{32,}"""),
    ("StackHawk key", r"""\bhawk\.[\w-]{20}\.[\w-]{20}\b"""),
    ("Mapbox token", r"""\b[st]k\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"""),
    ("Segment key", r"""\bsgp_[A-Za-z0-9]{64}"""),
    ("Sourcegraph token", r"""\bsgp_(?:[A-Fa-f0-9]{16}_|local_)?[A-Fa-f0-9]{40}"""),
    ("Salesforce token", r"""\b00D[A-Za-z0-9]{12}![A-Za-z0-9._]{80,}"""),
    ("TeamCity token", r"""\beyJ0eXAiOiAiVENWMiJ9\.[\w-]+\.[\w-]+"""),
    ("TrueNAS key", r"""\b\d{1,3}-[A-Za-z0-9]{64}\b"""),
    ("Okta token", r"""(?i:okta|ssws)[\w.-]{0,20}[\s"':=]{1,8}00[A-Za-z0-9_-]{40}\b"""),
    ("Twitch stream key", r"""\blive_\d{6,12}_[A-Za-z0-9]{30}\b"""),
    ("Telegram token", r"""\b\d{8,10}:AA[0-9A-Za-z_-]{32,33}\b"""),
    ("Twilio key", r"""\bSK[0-9a-f]{32}\b"""),
    ("Firebase server key", r"""\bAAAA[A-Za-z0-9_-]{7}:[A-Za-z0-9_-]{140}"""),
    ("Supabase key", r"""\bsb[pb]_(?:secret_)?[A-Za-z0-9]{30,}"""),
    ("Cloudinary address", r"""cloudinary://\d+:[A-Za-z0-9_-]+@"""),
    ("Jupyter password", r"""["'](?:argon2:\$argon2\w*\$|sha(?:1|256):[0-9a-f]{12}:)[^"'\s]{20,}"""),
    ("Django secret key", r"""(?i:secret_key)["']?\]?\s{0,4}[:=]\s{0,4}["']([^\s"']{40,})["']"""),
    ("authorization header", r"""(?i:authorization)["']?\]?\s{0,3}[:=,]\s{0,3}f?\\?["']?(?i:bearer|basic|token|apikey|key|ssws)[ \t:]{1,3}([A-Za-z0-9._~+/=-]{12,})"""),
    ("bearer token", r"""(?i:\bbearer:?)[ \t]{1,3}([A-Za-z0-9._~+/=-]{16,})"""),
    ("token in an address", r"""(?i)[?&](?:access_?|auth_?|api_?|private_?|refresh_?|secret_?)?(?:token|key|apikey|secret|password|passwd|sig)=([A-Za-z0-9._~%+/=-]{8,})"""),
    ("password in an address", r"""(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@"'<>]{0,64}:([^\s/@"'<>]{3,128})@[\w.\[-]"""),
    ("token in an address", r"""(?i)\b(?:git\+)?https?://([A-Za-z0-9_.~%-]{16,255})@[\w.\[-]"""),
    ("password in a connection string", r"""(?i)[;"'](?:password|pwd|passwd)\s?=\s?([^;"'\s]{4,})(?:;|["']|$)"""),
    ("password in a command", r"""(?i)\b(?:curl|wget|git)\b[^\n]{0,200}?\s(?:-u|--user)[ =]['"]?[^\s:'"]{2,}:([^\s'"]{6,})"""),
    ("password in a command", r"""(?i)\b(?:login|mysql|psexec|sshpass|connect-viserver)\b[^\n]{0,120}?\s(?:-p ?|--password[ =]|-Password )['"]?([^\s'"-][^\s'"]{5,})"""),
    ("password in XML", r"""(?i)key=["'][\w.-]*(?:password|secret|token)["']\s+value=["']([^"'\s]{6,})["']"""),
    ("password in a call", r"""(?:NetworkCredential|DirectoryEntry)\([^)\n]*,\s*["']([^"'\s]{6,})["']\s*\)"""),
)  # fmt: skip
"""Kind and expression of secrets that their form alone shows; group 1, where there is one, is the secret."""

_PASSWORD = r"""(?:passw(?:or)?d|passwd|passphrase|pwd|passcode|\bpass|[_.-]pass|secret(?:_?key)?)"""
_TOKEN = r"""(?:\bkey|api_?-?key|apikey|token|secret|credentials?|auth_?key|[a-z0-9][_.-]key|[a-z]Key|_skey|[a-z]Auth|[_-]auth|[_-]pat|passw(?:or)?d|pwd|passphrase|tokens?)"""
_NAMED = r"""[A-Za-z0-9_.-]{0,40}"""

DETECTED = (
    r"""(?:AKIA|ASIA|ABIA|ACCA|A3T)[0-9A-Z]{16}|(?i:aws.{0,20}?(?:key|pwd|pw|password|pass|token).{0,20}?['"])[0-9a-zA-Z/+]{40}|"""
    r"""gh[pousr]_[A-Za-z0-9]{30}|eyJ[A-Za-z0-9_=-]{8,}\.eyJ|[0-9a-z]{32}-us\d|_authToken=|T3BlbkFJ|pypi-AgE|SG\.[\w-]{22}\.|"""
    r"""(?i:xox[a-z]-)|(?i:slack\.com)/|sq0csp|[rs]k_live_|:AA[\w-]{30}|(?:AC|SK)[a-f0-9]{32}|"""
    r"""[MNO][A-Za-z\d_-]{23,25}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27}"""
)
"""What every text has in which a detector of detect-secrets finds something: they take a quarter of a second to load."""

PASSWORDS = (
    rf"""(?i)(?P<name>{_NAMED}{_PASSWORD}[a-z0-9_]{{0,12}}){_TO}[bruf]?{_QUOTE}(?P<value>[^\s"'\\]{{6,200}}){_QUOTE}""",
    rf"""(?i)(?P<name>{_NAMED}{_PASSWORD}[a-z0-9_]{{0,12}})(?P<separator>["']?\]?[ \t]{{0,4}}(?:=|:[ \t]|=>)[ \t]{{0,4}})(?P<value>[^\s"'\\,;()\[\]{{}}<>|`]{{6,200}})(?:[\s\\"]|$)""",
    r"""(?i)\b(?P<name>passw(?:or)?d)(?P<separator>(?: for (?:the )?user ["'][^"'\n]{1,30}["'])? is[: ]{1,2})["'`](?P<value>[^\s"'`]{6,40})["'`]""",
)
"""A name such as `password`, and the value that is assigned to it: people choose them freely."""

TOKENS = (
    rf"""(?i)(?P<name>{_NAMED}{_TOKEN}[a-z0-9_]{{0,12}}){_TO}[bruf]?{_QUOTE}[ ]?(?:[A-Za-z-]{{3,20}}[ ])?(?P<value>[^\s"'\\]{{12,200}})(?:[ ]?{_QUOTE}|[^\s"'\\])""",
    rf"""(?i)(?P<name>{_NAMED}{_TOKEN}[a-z0-9_]{{0,12}})["']?\]?[ \t]{{0,4}}(?:=|:|=>|:=|\||[ \t]is:?[ \t]|[ \t]-[ \t]|[ \t])[ \t]{{0,4}}(?P<value>[A-Za-z0-9+/=_.~%*?!@#^-]{{16,200}})(?:[\s,;:"'`&)|\\A-Za-z0-9]|$)""",
    rf"""(?im)^[ \t]{{0,40}}(?:export[ \t]+|set[ \t]+|-[ \t]+)?(?P<name>{_NAMED}{_TOKEN}[a-z0-9_]{{0,12}})[ \t]{{0,4}}[=:][ \t]{{0,4}}(?P<value>[^\s"'`#{{$]\S{{11,200}})[ \t]*$""",
)
"""A name such as `token`, and a value that must look random; the last form is a line of a file of settings."""

_SIGN = r"""(?:\\*["'])?\]?(?:[ \t]*:?[ \t]+(?:str|Opt|Str|Sec|Fin|byt)[\w.\[\]| ]*)?[ \t]*(?::=|[=!]=?>?|:|,|\|| is:?| -[ \t])[ \t]*"""
_QUOTED = r"""[bruf]?\\*["']"""
_RANDOM = rf"""(?:{_QUOTED} ?(?:[A-Za-z-]+ )?(?:[^\s"'\\0-9]*[0-9][^\s"'\\]{{4}}|[^\s"'\\]{{16}})|(?:[A-Za-z]{{1,3}}\.)?[A-Za-z+/=_~%*?!@#^-]*[0-9][A-Za-z0-9+/=_.~%*?!@#^-]{{4}})"""

TOKEN_ANCHORS: tuple[str, ...] = (
    # Beginnings of tokens.
    rf"""-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----{_KEY_TEXT}""",
    rf"""(?:{_PEM_64})[A-Za-z0-9+/]""",
    r"""PuTTY-User-Key-File-|AGE-SECRET-KEY-1|\b1//0[A-Za-z0-9_-]{30}|\bya29\.[A-Za-z0-9_-]{12}|\bAIza[A-Za-z0-9_-]{30}|\bGOCSPX-""",
    r"""(?:PrivateKey|PresharedKey)[ \t]*=|client-key-data|token-data|\bamzn\.mws\.|\bda2-[a-z0-9]{20}|[?&]sig=[A-Za-z0-9%/+]{20}""",
    r"""refresh_token|private_key\\*["']|\bmachine\s+[\w.-]+\s+login\s|Unseal Key \d""",
    r"""(?i:aws_?se(?:cret|ssion|curity)_?(?:access_?)?(?:key|token)|account_?key|sharedaccesskey|;secret)[\s"'\\:=]+[A-Za-z0-9/+]{30}""",
    r"""\bgithub_pat_[A-Za-z0-9]{20}|\bgh[pousr]_[A-Za-z0-9]{30}|\bgl[a-z]+-[A-Za-z0-9_.-]{20}|\bGR1348941""",
    r"""\b(?:hf_|api_org_|wandb_v1_|KGAT_|dckr_[a-z]+_|dapi|sk-ant-|sk-or-v|gsk_|xai-|pcsk_|pplx-|r8_|tvly-|fc-|jina_|lsv2_|pypi-AgE)[A-Za-z0-9_-]{20}""",
    r"""\bsk-(?:[a-zA-Z]+-)?[A-Za-z0-9_-]{32}|\bsk_[0-9a-f]{40}|\ba[ks]-[A-Za-z0-9]{22}\b""",
    r"""\bxapp-|\bxox[a-z]|\bhooks\.slack\.com/|office\.com/webhook|discord(?:app)?\.com/api/webhooks/|cloudinary://""",
    r"""\b(?:do[opr]_v1_|hv[bsr]\.|glc_|glsa_|eyJrIjoi|sntry[su]_|shp(?:at|ca|pa|ss)_|ATATT3|ATBB|pul-|ops_eyJ|A3-[A-Z0-9]{6}-)[A-Za-z0-9+/_-]{12}""",
    r"""\bNR(?:AK|BR|II|IQ|AA|RA|SP|JS)-|\bpx-(?:api|dep)-|\bkey-[0-9a-f]{32}|\bnpm_[A-Za-z0-9]{30}|_auth(?:Token)?[ \t]?=""",
    r"""\b[rs]k_(?:live|test|prod)_[0-9A-Za-z]{16}|\bsq0[a-z]+-|\bEAAA?[A-Za-z0-9_-]{30}|\bdp\.[a-z]+\.|\bcio[A-Za-z0-9]{32}\b|\boy2[a-z0-9]{40}""",
    r"""\baio_[A-Za-z0-9]{20}|\bodt_[A-Za-z0-9_]{30}|\bhawk\.[\w-]{20}|\b[st]k\.eyJ|\bsgp_|\b00D[A-Za-z0-9]{12}!|\blive_\d{6}|\bsb[pb]_""",
    r"""\beyJ[A-Za-z0-9_=-]{8,}\.eyJ|\beyJ0eXAiOiAiVENWMiJ9|\beyJhcGlfYWRkcmVzcyI6""",
    r"""\b(?:pat[A-Za-z0-9]{14}\.|BBDC-|alcht_|apify_api_|csk-|fig[dou]r?_|fw_|tgp_v1_|nvapi-|rpa_|e2b_|esecret_|napi_|rnd_|rootly_)[A-Za-z0-9_/+-]{20}""",
    r"""\b(?:api|sdk|sk-lf)-[a-z0-9]{8}-|\bsk_[a-z0-9_]+_[0-9a-f]{32}|hooks\.zapier\.com/|\.tines\.com/webhook""",
    r"""["'](?:argon2:\$argon2|sha(?:1|256):[0-9a-f]{12}:)""",
    # Addresses, headers and commands.
    r"""(?i:\bbearer:?[ \t]+|authorization["']?\]?\s*[:=,]\s*f?\\?["']?[a-z]+[ \t:]+)[A-Za-z0-9._~+/=-]{12}""",
    r"""(?i)[?&](?:[a-z]+_?)?(?:token|key|apikey|secret|password|passwd)=[A-Za-z0-9._~%+/=-]{8}""",
    r"""(?i)[;"'](?:password|pwd|passwd)\s?=\s?[^;"'\s]{4}""",
    r"""(?i)key=\\*["'][\w.-]*(?:password|secret|token)\\*["']\s+value=|NetworkCredential\(|DirectoryEntry\(""",
    gitleaks_rules.TOKEN_ANCHOR,
)
"""Cheap forms of the rules, of the detectors' and of gitleaks': wherever a rule matches, one of these or of those below
does. They have few counted repetitions, each of which makes RE2's automaton larger, and those behind a rare text."""

VALUE_ANCHORS: tuple[str, ...] = (
    # Parts of tokens that begin with anything, of addresses and of commands.
    r"""\dQ~[A-Za-z0-9_~.-]{31}|AZDO[A-Za-z0-9]{4,5}\b|NRAL\b|_mmk\b|\.atlasv1\.|-us[0-9]{1,2}\b""",
    r""":AA[0-9A-Za-z_-]{30}|(?:AC|SK)[a-f0-9]{32}\b|AAAA[A-Za-z0-9_-]{7}:|SG\.[A-Za-z0-9_-]{16}""",
    r"""(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}|\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27}""",
    r"""-[0-9a-f]{8}-[0-9a-f]{8}\b|//[0-9a-f]{32}""",
    r"""://[^\s:/@"'<>]*:[^\s/@"'<>]{3,}@|://[A-Za-z0-9_.~%-]{16,}@""",
    r"""\s(?:-u|--user)[ =]['"]?[^\s:'"]+:[^\s'"]{6}""",
    r"""(?i:login|mysql|psexec|sshpass|viserver)[^\n]*\s(?:-p ?|--password[ =]|-Password )['"]?[^\s'"-]{6}""",
    r""":(?:\d{2,5}|\*):[\w*-]+:[\w-]+:[^\s:]{4}""",
    # Names with values.
    r"""(?is:wandb.{0,60}?(?:key|login|password|token).{0,24}?)\b[0-9a-f]{40}\b""",
    rf"""{_QUOTE}(?:key|auth){_QUOTE}\s*:\s*{_QUOTE}[A-Za-z0-9+/]{{12}}""",
    r"""(?i:personal_?access_?token|azure|devops|comet|cohere|vault|okta|ssws|license_?key|kaggle_key)[\w.-]*[\s"'\\:=\],]+[A-Za-z0-9_.-]{24}""",
    rf"""(?i:(?:passw(?:or)?d|passwd|passphrase|pwd|passcode)[a-z0-9_]*|[^a-z]pass(?:_[a-z0-9_]*)?){_SIGN}(?:{_QUOTED}[^\s"'\\]{{6}}|[^\s"'\\,;()\[\]{{}}<>|`]*[0-9$#@!%&*?^+~])""",
    r"""(?i:passw(?:or)?d) for (?:the )?user""",
    rf"""(?i:\bkey|api_?-?key|token|secret|credential|auth_?key|[_.-]pat|[_-]auth|[a-z0-9][_.-]key|_skey)(?i:s?(?:[_-][a-z0-9_-]*)?){_SIGN}{_RANDOM}""",
    rf"""[a-z](?:Key|Auth){_SIGN}{_RANDOM}""",
    r"""(?i:key|token)[ \t][A-Za-z+/=_~-]*[0-9][A-Za-z0-9+/=_.~-]{12}""",
)
"""The same for values that are known by what stands before them."""

PREFILTERS = tuple(
    "|".join(f"(?:{anchor})" for anchor in anchors)
    for anchors in ((*TOKEN_ANCHORS, gitleaks_rules.SERVICE_ANCHOR), VALUE_ANCHORS)
)
"""All of them in two expressions, whose automata are made sooner than that of one. A text that matches none holds no
secret."""

VERSION = hashlib.sha256(
    f"7 {OWN} {PASSWORDS} {TOKENS} {PREFILTERS} {PLUGINS} {gitleaks_rules.VERSION}".encode()
).hexdigest()[:16]
"""Changes with the rules, so that files in which older rules found nothing are scanned again."""
