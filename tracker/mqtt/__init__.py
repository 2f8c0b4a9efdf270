"""The tracker on an MQTT broker: microphones send audio there, homes, robots and other screens read emotions.

What is said
    topics          every topic's name
    payloads        what is sent on them
    channels        how each payload is sent: topic, quality of service, retained or not, MQTT 5 properties
    message         one message, free of any client library
    asyncapi        the document that describes it all

To the broker
    broker          which one, and how to be let in
    connection      one that heals itself, over client, the only place that knows the MQTT libraries
    outbox          what waits to be sent, and what is sent again
    blame           which message or subscription makes a broker hang up

In
    audio_topics    which topics carry audio, and whose
    audio_payload   one audio message
    arrival         what is lost, repeated or merely late
    site_source     the audio of one site as a source
    commands        what may be asked of a site; controls does it

Out
    sink            one session's events, over site_voice, the site's own connection
    state           from turns to the state of a room and its speakers
    status_reports  what is told without being an event: the source, who speaks, metrics
    snapshots       what another worker needs to go on
    own_claim       that a process serves one site alone
    losses          what was lost and what was sent in vain
    discovery       how Home Assistant finds the sites

Many sites
    sites           what comes in for all of them, and where it goes
    open_sites      opening and closing them; site is one of them
    absent          those that audio alone does not open
    site_errors     what goes wrong at each
    group           several workers that share them
    service         the process that serves them

Another screen
    watched         what is known of sites from their topics
    overview        many of them on one screen
"""
