"""What SeaweedFS needs before the credentials that it gives out open anything."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import AuthorizationError, BucketNotFound, ConfigError
from . import s3_policies

if TYPE_CHECKING:
    from .s3_calls import Calls

__all__ = ["enable_tokens"]

_EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}],
}


async def enable_tokens(calls: Calls) -> None:
    """Give our own user a policy: a token never allows more than the policies of its maker.

    The keys that SeaweedFS is started with have every right but no policy.
    """
    whoami = await calls.sts("get_caller_identity")
    try:
        await calls.iam(
            "put_user_policy",
            UserName=whoami["Arn"].rpartition("/")[2],
            PolicyName="neuro-sdk",
            PolicyDocument=json.dumps(_EVERYTHING),
        )
    except AuthorizationError as refused:
        # Fine if whoever has set the store up has given the user a policy.
        if not await _tokens_work(calls):
            raise ConfigError(
                "this SeaweedFS lets nobody use the credentials that it gives out; start it with "
                "-s3.iam.readOnly=false, or give its administrator a policy in its -s3.config"
            ) from refused


async def _tokens_work(calls: Calls) -> bool:
    # Whoever may look at a bucket that nobody has is told that it is not there.
    probe = f"neuro-pl-probe-{secrets.token_hex(8)}"
    answer = await calls.sts(
        "get_federation_token",
        Name=probe[:32],
        Policy=s3_policies.access_policy([probe], read_only=True),
        DurationSeconds=900,
    )
    token = answer["Credentials"]
    access = replace(
        calls.access,
        access_key_id=token["AccessKeyId"],
        secret_access_key=token["SecretAccessKey"],
        session_token=token["SessionToken"],
    )
    trial = await calls.sibling(access, services=("s3",))
    try:
        await trial.s3("head_bucket", Bucket=probe)
    except BucketNotFound:
        return True
    except AuthorizationError:
        return False
    finally:
        await trial.close()
    return True
