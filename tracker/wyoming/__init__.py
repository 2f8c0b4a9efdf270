"""Speech recognition for Home Assistant over the Wyoming protocol, which tells how everybody sounds besides."""
