"""Who is who, where a second person is needed."""


def is_same_person(one: str, other: str) -> bool:
    """Whether two identities are one person: the same name, whichever door it came through.

    A command's identity is an ARN in AWS, whose last part names the user or, with a role, the session; on the embedded
    stack it is the name that was said. The API's is the user's name in the pool. So a person needs the same name in
    both: another name is taken for another person. Who assumes a role may choose the session's name freely unless the
    role's trust policy binds it (sts:RoleSessionName), as IAM Identity Center does.
    """
    return _person(one) == _person(other)


def _person(identity: str) -> str:
    name = identity.strip().casefold()
    return name.rpartition("/")[2] if name.startswith("arn:") else name
