#!/bin/sh
# Grants the platform's users on a Kafka with an authorizer what each of them needs, and no more:
#
#     sh kafka-rights.sh kafka.example.com:9092 admin.properties
#
# as somebody who may alter ACLs (admin.properties says how to log in), with Kafka's kafka-acls.sh
# in the PATH. PREFIX is what kafka.prefix is in the settings, ARCHIVE=yes where archive.url is set.
# Granting again is harmless, nothing is taken away. What each user is for: kafka.md.
set -eu
servers=${1:?host:port of a broker is missing}
login=${2:?the file that says how to log in is missing}
prefix=${PREFIX:-}

feeds="agent_events feedback_events task_events team_events"
topics="log_epoch commands events $feeds command_results system_events dead_letters"
group="--group ${prefix}agent_event_processor"

# named TOPIC...: as kafka-acls.sh takes them
named() {
    for topic do printf ' --topic %s' "$prefix$topic"; done
}

# grant "USER ..." RIGHT...
grant() {
    users=$1
    shift
    for user in $users; do set -- "$@" --allow-principal "User:$user"; done
    kafka-acls.sh --bootstrap-server "$servers" --command-config "$login" --add "$@"
}

# What is left unquoted is several words.
grant "ao-server ao-processor ao-analytics ao-topics ao-checks ao-operator" \
    --operation Describe --operation DescribeConfigs $(named $topics)
grant "ao-server ao-processor ao-analytics ao-topics" --operation Read $(named log_epoch)
grant "ao-server ao-processor" --operation Read $(named events command_results)
grant "ao-processor" --operation Read $(named commands)
grant "ao-analytics" --operation Read $(named events $feeds system_events)
grant "ao-checks ao-operator" --operation Read $(named $topics)

grant "ao-server" --operation Write $(named commands)
grant "ao-processor" --operation Write \
    $(named commands events $feeds command_results system_events dead_letters)
grant "ao-topics" --operation Create $(named $topics)
grant "ao-topics" --operation Write $(named log_epoch)
grant "ao-operator" --operation Write $(named $topics)

grant "ao-server ao-checks" --operation Describe $group
grant "ao-processor ao-operator" --operation Read $group
grant "ao-analytics" --operation Read --group "${prefix}analytics"
grant "ao-analytics" --operation Describe --operation Create --operation Read --operation Write \
    $(named analytics-windows-changelog)

if [ "${ARCHIVE:-}" = yes ]; then
    grant "ao-processor ao-operator" --operation Delete $(named events)
fi
