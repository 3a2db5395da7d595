"""The small language that every client program here reads on its standard input.

    group NAME                        speak for this group from now on, with a new client
    commit orders/0=100 orders/1=7    commit these positions in one request
    commit orders/0=100@5 # a note    the same with leader epoch 5 and metadata "a note"
    fetch orders/0 orders/1           print what is committed, in the notation of `commit`

and of admin clients

    list                              print all that the group has committed
    groups                            print all groups: name, state and type of each
    describe                          print the state of the group
    delete-offsets orders/0 orders/1  delete these positions in one request
    delete-group                      delete the group

It is read from standard input and not from the arguments because a Java process decodes its
arguments by the locale, and group names here are not always ASCII.
"""

import sys
from collections import namedtuple

# `epoch` is None and `metadata` is "" where nothing was given.
Position = namedtuple("Position", "topic partition offset epoch metadata")


def parse_partition(text):
    topic, partition = text.rsplit("/", 1)
    return topic, int(partition)


def parse_positions(text):
    words, _, metadata = text.partition(" # ")
    positions = []
    for word in words.split():
        name, _, value = word.partition("=")
        offset, _, epoch = value.partition("@")
        position = Position(*parse_partition(name), int(offset), int(epoch) if epoch else None, metadata)
        positions.append(position)
    return positions


def show(topic, partition, offset, epoch=None, metadata=""):
    """A fetched position as `commit` would write it. A negative offset means that nothing is committed."""
    if offset is None or offset < 0:
        return f"{topic}/{partition}=none"
    epoch = "" if epoch is None or epoch < 0 else f"@{epoch}"
    metadata = f" # {metadata}" if metadata else ""
    return f"{topic}/{partition}={offset}{epoch}{metadata}"


def refusal(error, kind=None):
    """What an application would see: the type of the exception and its text, on one line."""
    text = " ".join(str(error).split())
    return f"refused {kind or type(error).__name__}: {text}"


def run(connect):
    """Runs the script on standard input. `connect(group)` gives a client whose verbs yield lines to print."""
    client = None
    for line in sys.stdin.buffer.read().decode("utf-8").splitlines():
        verb, _, rest = line.strip().partition(" ")
        if not verb:
            continue
        if verb == "group":
            if client:
                client.close()
            client = connect(rest)
            continue
        if verb == "commit":
            answers = client.commit(parse_positions(rest))
        elif verb == "fetch":
            answers = client.fetch([parse_partition(word) for word in rest.split()])
        elif verb == "list":
            answers = sorted(client.list())
        elif verb == "groups":
            answers = sorted(client.groups())
        elif verb == "describe":
            answers = client.describe()
        elif verb == "delete-offsets":
            answers = client.delete_offsets([parse_partition(word) for word in rest.split()])
        elif verb == "delete-group":
            answers = client.delete_group()
        else:
            raise SystemExit(f"no such verb: {verb}")
        for answer in answers:
            # Bytes, because the encoding of sys.stdout depends on the locale.
            sys.stdout.buffer.write(answer.encode("utf-8") + b"\n")
    if client:
        client.close()
    sys.stdout.buffer.flush()
