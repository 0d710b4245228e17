module shopstream/services/management-api

go 1.26.0

require shopstream/services/internal v0.0.0

replace shopstream/services/internal => ../internal
