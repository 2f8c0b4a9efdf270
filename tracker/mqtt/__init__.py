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

In
    audio_topics    which topics carry audio, and whose
    audio_payload   one audio message
    arrival         what is lost, repeated or merely late
    site_source     the audio of one site as a source
    commands        what may be asked of a site; controls does it

Out
    sink            one session's events, and what they add up to
    state           from turns to the state of a room and its speakers
    losses          what was lost and what was sent in vain
    discovery       how Home Assistant finds the sites

Many sites
    sites           the conversations of all, over site, one of them
    group           several workers that share them
    service         the process that serves them

Another screen
    watched         what is known of sites from their topics
    overview        many of them on one screen
"""
