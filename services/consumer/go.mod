module shopstream/services/consumer

go 1.26.0

require shopstream/services/internal v0.0.0

replace shopstream/services/internal => ../internal
