#!/bin/sh
# `scripts/make_secrets.sh desk.example.com`: desk.env and secrets/ for compose.yaml. Overwrites nothing.
set -eu
cd "$(dirname "$0")/.."

host=${1:-}
case $host in
"" | *[!A-Za-z0-9.-]*)
    echo "Say by which name people open the desk: scripts/make_secrets.sh desk.example.com" >&2
    exit 1
    ;;
esac
random() {
    od -An -N 36 -tx1 /dev/urandom | tr -d ' \n'
}
keep() {
    # The folder keeps strangers out; the files must be readable to the user of the containers.
    [ -e "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"
    chmod 444 "secrets/$1"
}

mkdir -p secrets
chmod 700 secrets
keep postgres_password "$(random)"
keep owner_database_url "postgres://assetpay:$(cat secrets/postgres_password)@postgres:5432/assetpay"
keep runtime_database_url "postgres://desk_runtime:$(random)@postgres:5432/assetpay"
keep secret_key "$(random)"
keep mfa_seed_key "$(random)"
keep metrics_token "$(random)"
keep assetpay_api_key ""
keep assetpay_api_secrets ""
keep tls.pem ""

if [ ! -e desk.env ]; then
    # What lies in secrets/ or in compose.yaml must not stand here too.
    sed -e '/^\(SECRET_KEY\|MFA_SEED_KEY\|ASSETPAY_API_KEY\|ASSETPAY_API_SECRETS\|HTTPS_ONLY\|TRUSTED_PROXY_COUNT\|PORT\)=/d' \
        -e "s|^ALLOWED_HOSTS=.*|ALLOWED_HOSTS=$host,web|" \
        -e "s|^# CSRF_TRUSTED_ORIGINS=.*|CSRF_TRUSTED_ORIGINS=https://$host|" .env.example >desk.env
    chmod 600 desk.env
fi
echo "Fill in: ASSETPAY_MERCHANT_ID in desk.env; secrets/assetpay_api_key, secrets/assetpay_api_secrets, secrets/tls.pem."
